// The spectrogram and the detectors' outputs, newest at the right.
const STEP = 2; // pixels that one picture moves on
const TOP = 8000; // Hz at the upper edge: what the recogniser hears

export function draw(context, source) {
  const analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0, minDecibels: -100, maxDecibels: -20 });
  source.connect(analyser);
  const levels = new Uint8Array(Math.floor((analyser.frequencyBinCount * TOP * 2) / context.sampleRate));
  const [spectrogram, trigger] = ["spectrogram", "trigger"].map((id) => document.getElementById(id));
  let running = true;
  let newest = {}; // name of a detector: its highest output since the last picture

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
    Object.entries(newest).forEach(([, value], i) => {
      pen.fillStyle = `hsl(${45 + 120 * i} 90% 60%)`;
      pen.fillRect(trigger.width - STEP, trigger.height * (1 - value), STEP, Math.max(2, trigger.height * value));
    });
    newest = Object.fromEntries(Object.entries(newest).map(([name, value]) => [name, value * 0.9]));
  }

  requestAnimationFrame(picture);
  return {
    stop: () => { running = false; },
    scores: ({ name, scores }) => {
      trigger.hidden = false;
      newest[name] = Math.max(newest[name] ?? 0, ...scores);
    },
  };
}

function shift(canvas) {
  const pen = canvas.getContext("2d");
  pen.drawImage(canvas, -STEP, 0);
  pen.clearRect(canvas.width - STEP, 0, STEP, canvas.height);
  return pen;
}

function colour(loudness) {
  return `hsl(${260 - 220 * loudness} 90% ${5 + 60 * loudness}%)`;
}
