// Runs in the browser's audio thread: 16-bit samples of the first channel, 80 ms at a time.
class Sender extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(0.08 * sampleRate));
    this.filled = 0;
  }

  process(inputs) {
    for (const sample of inputs[0][0] ?? []) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice().buffer);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("sender", Sender);
