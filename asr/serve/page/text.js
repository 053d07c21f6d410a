// Words on the page: sentences that are settled, and the one that still grows.
const place = document.getElementById("text");

// What is said in one file, or in one stretch of listening.
export class Recording {
  // `save(segments, format)` is called when somebody wants the words
  constructor(save) {
    this.segments = []; // of words with text, start, end and confidence
    this.element = document.createElement("section");
    this.buttons = document.createElement("p");
    this.buttons.className = "save";
    for (const format of ["copy", "txt", "srt", "vtt"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.format = format;
      button.textContent = format === "copy" ? "Copy" : `Save ${format}`;
      button.addEventListener("click", () => save(this.segments, format));
      this.buttons.append(button);
    }
  }

  partial(result) {
    const line = this.element.querySelector(".partial") ?? this.append("partial");
    line.textContent = result.text;
    line.scrollIntoView({ block: "nearest" });
  }

  // segments: they become one paragraph
  final(segments, kind = "") {
    this.element.querySelector(".partial")?.remove();
    const words = segments.flat();
    if (!words.length) return;
    this.segments.push(...segments);
    const line = this.append(kind);
    for (const { text, start, end, confidence } of words) {
      const word = document.createElement("span");
      const times = document.createElement("small");
      word.className = confidence < 0.5 ? "word unsure" : "word";
      word.title = `${start.toFixed(2)} to ${end.toFixed(2)} s, confidence ${confidence.toFixed(2)}`;
      times.textContent = start.toFixed(2);
      times.setAttribute("aria-hidden", "true");
      word.append(`${text} `, times);
      line.append(word);
    }
    this.element.append(this.buttons); // stay below the words
    line.scrollIntoView({ block: "nearest" });
  }

  append(kind) {
    if (!this.element.isConnected) place.append(this.element);
    const line = document.createElement("p");
    line.className = kind;
    return this.element.appendChild(line);
  }
}

export function plain(yes) {
  place.classList.toggle("plain", yes);
}
