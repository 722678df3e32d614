"use strict";
// Functions of both pages.

const byId = (id) => document.getElementById(id);

/** An element with attributes and children. Texts are never taken for HTML. */
function element(name, attributes = {}, ...children) {
  const svg = ["svg", "polyline", "line", "text", "circle"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function say(text, isProblem = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("problem", isProblem);
}

/** The answer of the server as JSON; its error message as an error. */
async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error?.message ?? `The server answered with status ${response.status}.`);
  return answer;
}
