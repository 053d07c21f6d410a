// Words on the page: sentences that are settled, and the one that still grows.
const place = document.getElementById("text");

export function partial(result) {
  const line = place.querySelector(".partial") ?? append("p", "partial");
  line.textContent = result.text;
  line.scrollIntoView({ block: "nearest" });
}

export function final(words, kind = "") {
  place.querySelector(".partial")?.remove();
  if (!words.length) return;
  const line = append("p", kind);
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
  line.scrollIntoView({ block: "nearest" });
}

export function plain(yes) {
  place.classList.toggle("plain", yes);
}

function append(tag, kind) {
  const element = document.createElement(tag);
  element.className = kind;
  return place.appendChild(element);
}
