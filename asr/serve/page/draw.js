// The spectrogram and the detectors' outputs, newest at the right.
const STEP = 2; // pixels that one picture moves on
const LANE = 48; // pixels of a detector
const TOP = 8000; // Hz at the upper edge: what the recogniser hears

// wake: the detectors, each with its name, its threshold, and the colour of its lane
export function draw(context, source, wake) {
  const analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0, minDecibels: -100, maxDecibels: -20 });
  source.connect(analyser);
  const levels = new Uint8Array(Math.floor((analyser.frequencyBinCount * TOP * 2) / context.sampleRate));
  const [spectrogram, trigger] = ["spectrogram", "trigger"].map((id) => document.getElementById(id));
  let running = true;
  const newest = Object.fromEntries(wake.map(({ name }) => [name, 0])); // the highest output since the last picture
  trigger.hidden = !wake.length;
  trigger.height = LANE * wake.length;

  function picture() {
    if (!running) return;
    analyser.getByteFrequencyData(levels);
    const pen = shift(spectrogram);
    const height = spectrogram.height / levels.length;
    levels.forEach((level, i) => {
      pen.fillStyle = colour(level / 255);
      pen.fillRect(spectrogram.width - STEP, spectrogram.height - (i + 1) * height, STEP, height + 1);
    });
    if (!trigger.hidden) outputs(shift(trigger));
    requestAnimationFrame(picture);
  }

  function outputs(pen) {
    wake.forEach(({ name, threshold, colour }, i) => {
      const [left, bottom, value] = [trigger.width - STEP, (i + 1) * LANE, newest[name]];
      pen.fillStyle = colour;
      pen.fillRect(left, bottom - (LANE - 2) * value, STEP, (LANE - 2) * value);
      pen.fillStyle = "#888";
      pen.fillRect(left, bottom - (LANE - 2) * threshold, STEP, 1);
      newest[name] = value * 0.9;
    });
  }

  requestAnimationFrame(picture);
  return {
    stop: () => { running = false; },
    scores: ({ name, scores }) => { newest[name] = Math.max(newest[name], ...scores); },
  };
}

function shift(canvas) {
  const pen = canvas.getContext("2d");
  pen.globalCompositeOperation = "copy"; // what was there is gone, under transparent pixels, too
  pen.drawImage(canvas, -STEP, 0);
  pen.globalCompositeOperation = "source-over";
  return pen;
}

function colour(loudness) {
  return `hsl(${260 - 220 * loudness} 90% ${5 + 60 * loudness}%)`;
}
