"use strict";
// The page that classifies an image.

let current = null;
let model = null;

const shortName = (top) => (top.words ?? top.name).split(",")[0];
const percent = (probability) => `${(100 * probability).toFixed(probability < 0.0995 ? 2 : 1)} %`;

function showClasses(top) {
  byId("classes").replaceChildren(...top.map((one) => {
    const fill = element("span");
    fill.style.width = `${100 * one.probability}%`;
    const label = element("span", {}, shortName(one), element("span", { class: "number" }, percent(one.probability)));
    const bar = element("span", { class: "bar", "aria-hidden": "true" }, fill);
    const button = element("button", { type: "button", "aria-pressed": "false", "data-class": one.class }, label, bar);
    button.title = one.words ? `${one.words} (${one.name})` : one.name;
    button.addEventListener("click", () => explain(one.class));
    return element("li", {}, button);
  }));
}

let shown = null;

/** Shows the image as it was given, until the server has explained it. */
function showFile(file) {
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  byId("input").src = shown;
  byId("input").alt = "The image as it was given";
  byId("input-caption").hidden = true;
}

function mark(number) {
  for (const button of byId("classes").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.class) === number));
  }
}

function showExplanation(explanation) {
  mark(explanation.class.class);
  const name = shortName(explanation.class);
  byId("input").src = explanation.input;
  byId("input-caption").hidden = false;
  byId("input").alt = `The image as the network sees it; most probable: ${name}`;
  byId("kernels").replaceChildren(...explanation.kernels.map((fired) => {
    const kernel = element("img", { src: fired.image, alt: `kernel ${fired.kernel}` });
    const map = element("img", { src: fired.map, alt: `its responses over the image` });
    const response = element("span", { class: "number" }, fired.response.toFixed(2));
    const name = element("p", { class: "quiet" }, `kernel ${fired.kernel}`);
    return element("li", {}, element("div", { class: "pair" }, kernel, map), response, name);
  }));
  const layer = explanation.kernels[0]?.layer;
  byId("kernels-hint").textContent =
    `Kernels of ${layer} with the largest responses to this image; beside each, where it responds (white: most).`;
  byId("kernels-section").hidden = !layer;
  byId("maps-title").textContent = `Where the network looks for: ${name}`;
  byId("maps").replaceChildren(...explanation.maps.map((map) => element("li", {},
    element("img", { src: map.image, alt: `${map.title} for ${name}` }),
    element("strong", {}, map.title), element("p", { class: "quiet" }, map.about))));
  byId("maps-section").hidden = false;
  byId("neighbours").replaceChildren(...explanation.neighbours.map((near) => {
    const label = near.class ? shortName({ words: near.words, name: near.class }) : near.name;
    const attributes = { src: near.image, alt: `near image: ${label}`, title: near.name };
    if (model.crop < 100) attributes.class = "coarse";
    return element("li", {}, ...(near.image ? [element("img", attributes)] : []), element("span", {}, label),
      element("p", { class: "quiet" }, `distance ${near.distance.toFixed(2)}`));
  }));
  byId("neighbours-section").hidden = explanation.neighbours.length === 0;
}

/** Asks for one class, the most probable one by default; the last question counts. */
async function explain(number = null) {
  const { file, abort } = current;
  abort.explain?.abort();
  abort.explain = new AbortController();
  if (number !== null) mark(number);
  say("Looking for what led to it ...");
  try {
    const query = number === null ? "" : `?class=${number}`;
    const options = { method: "POST", body: file, signal: abort.explain.signal };
    const explanation = await ask(`/v1/explain${query}`, options);
    if (current.file !== file) return;
    showExplanation(explanation);
    say("");
  } catch (error) {
    if (error.name !== "AbortError" && current.file === file) say(error.message, true);
  }
}

async function classify(file) {
  if (!file) return;
  current?.abort.explain?.abort();
  current = { file, abort: {} };
  byId("result").hidden = true;
  ["kernels-section", "maps-section", "neighbours-section"].forEach((id) => { byId(id).hidden = true; });
  say(`Classifying ${file.name || "the image"} ...`);
  try {
    // An image may be dropped before the network was described for the first time.
    await describe();
    if (!model || current.file !== file) return;
    const answer = await ask("/v1/predict", { method: "POST", body: file });
    if (current.file !== file) return;
    showFile(file);
    showClasses(answer.predictions[0].top);
    byId("result").hidden = false;
    await explain();
  } catch (error) {
    if (current.file === file) say(error.message, true);
  }
}

function listen() {
  for (const id of ["file", "camera"]) {
    byId(id).addEventListener("change", (event) => {
      classify(event.target.files[0]);
      // The same file can be chosen again.
      event.target.value = "";
    });
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    classify(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => classify(event.clipboardData.files[0]));
}

/** Describes the network, whose weights may have become newer ones. */
async function describe() {
  const answer = await ask("/v1/model");
  model = answer.model;
  byId("training-link").hidden = !answer.has_run;
  byId("drop").hidden = !model;
  if (!model) {
    say("The run has no checkpoint yet. Its training is on the other page.");
    setTimeout(begin, 2000);
    return;
  }
  if (!byId("model").textContent) say("");
  byId("input").classList.toggle("coarse", model.crop < 100);
  byId("model").textContent = `${model.network}, ${model.classes.length} classes, from ${model.weights}`;
  byId("input-caption").textContent = `As the network sees it: ${model.crop} x ${model.crop} pixels of the centre`
    + (model.crops > 1 ? `; the probabilities are means over ${model.crops} crops` : "");
}

const begin = () => describe().catch((error) => say(error.message, true));

listen();
begin();
