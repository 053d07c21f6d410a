// What the buttons and keys do.
import { listen } from "./live.js";
import { Recording, plain } from "./text.js";

const [talk, file, access, token, status, wake, times] = ["talk", "file", "access", "token", "status", "wake", "times"].map(
  (id) => document.getElementById(id),
);
let heard = null; // what the microphone hears
let stop = null; // while the microphone is heard
let words = []; // the wake words: name, phrase, threshold, colour
let secret = sessionStorage.getItem("token") ?? "";

function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("wrong", wrong);
}

function ask(address, options = {}) {
  return fetch(address, { ...options, headers: secret ? { Authorization: `Bearer ${secret}` } : {} });
}

async function setUp() {
  const answer = await ask("/v1/wake");
  access.hidden = answer.status !== 401;
  talk.disabled = file.disabled = !answer.ok;
  if (!answer.ok) return say((await answer.json()).error.message, answer.status !== 401);
  words = (await answer.json()).data.map((word, i) => ({ ...word, colour: `hsl(${45 + 137 * i} 90% 60%)` }));
  wake.replaceChildren(
    ...words.map(({ name, phrase, colour }) => {
      const item = document.createElement("li");
      item.dataset.name = name;
      item.textContent = phrase;
      item.style.setProperty("--colour", colour);
      return item;
    }),
  );
  if (secret) say("The token is right: press the button and talk.");
}

function light(name) {
  const item = [...wake.children].find((one) => one.dataset.name === name);
  item?.classList.add("lit");
  say(`Heard the wake word "${item?.textContent}".`);
  setTimeout(() => item?.classList.remove("lit"), 2000);
}

const on = {
  open: () => say("Listening: what you say appears below."),
  result: (result) => {
    if (result.kind === "partial") heard.partial(result);
    if (result.kind === "final") heard.final([result.written.length ? result.written : result.words]);
    if (result.kind === "wake") light(result.name);
    if (result.kind === "error") say(result.message, true);
  },
  close: (event) => {
    stop = null;
    pressed(false);
    if (event.code === 1006) say("The connection was lost, or the server has no room.", true);
    else if (!status.classList.contains("wrong")) say("Stopped.");
  },
};

function pressed(yes) {
  talk.setAttribute("aria-pressed", yes);
  talk.textContent = yes ? "Stop listening" : "Start listening";
}

async function toggle() {
  if (stop) return stop();
  pressed(true);
  say("Waiting for the microphone ...");
  talk.disabled = true;
  try {
    heard = new Recording(save("talk"));
    stop = await listen(secret, words, on);
  } catch (error) {
    pressed(false);
    say(`No microphone: ${error.message}`, true);
  }
  talk.disabled = false;
}

async function transcribe(chosen) {
  if (!chosen) return;
  const form = new FormData();
  form.append("file", chosen);
  form.append("response_format", "verbose_json");
  for (const name of ["word", "segment"]) form.append("timestamp_granularities[]", name);
  say(`Transcribing ${chosen.name} ...`);
  try {
    const answer = await ask("/v1/audio/transcriptions", { method: "POST", body: form });
    const found = await answer.json();
    if (!answer.ok) return say(found.error.message, true);
    const recording = new Recording(save(chosen.name.replace(/\.[^.]*$/, "")));
    recording.final(found.segments.map(({ written }) => written), "file");
    say(found.warning ?? (found.text ? `${chosen.name}: ${found.duration} s.` : `${chosen.name}: no speech was found.`));
  } catch (error) {
    say(`The file could not be sent: ${error.message}`, true);
  }
}

// The words of a recording, to the clipboard or into a file of that name.
function save(name) {
  return async (segments, format) => {
    const response_format = { copy: "text", txt: "text" }[format] ?? format;
    try {
      const answer = await ask("/v1/captions", { method: "POST", body: JSON.stringify({ response_format, segments }) });
      const text = await answer.text();
      if (!answer.ok) return say(JSON.parse(text).error.message, true);
      if (format === "copy") {
        await navigator.clipboard.writeText(text);
        return say("Copied.");
      }
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
      link.download = `${name}.${format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      say(`Saved as ${link.download}.`);
    } catch (error) {
      say(navigator.clipboard ? `This did not work: ${error.message}` : "A browser copies on pages of localhost or https only: save it instead.", true);
    }
  };
}

talk.addEventListener("click", toggle);
times.addEventListener("change", () => plain(!times.checked));
file.addEventListener("change", () => transcribe(file.files[0]).then(() => { file.value = ""; }));
access.addEventListener("submit", (event) => {
  event.preventDefault();
  secret = token.value.trim();
  sessionStorage.setItem("token", secret);
  setUp();
});
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target === document.body && !talk.disabled) {
    event.preventDefault();
    toggle();
  }
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragover");
    if (kind === "drop") transcribe(event.dataTransfer.files[0]);
  });
}
setUp().catch(() => say("The server does not answer.", true));
