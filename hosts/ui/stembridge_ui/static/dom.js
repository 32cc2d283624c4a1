// Small helpers that every part of the page shares: elements, calls to the server, words.

/** Make an element: h("button", {class: "go", onclick: f, "aria-label": "Go"}, "Go"). Text is never read as HTML. */
export function h(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.includes("-") && key !== "list" && key !== "form") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

/** Make an SVG element. */
export function svg(name, props = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(props)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Ask the server; an error has the server's own words. */
export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("stembridge does not answer; is `stembridge ui` still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let told = text.trim();
  try {
    const {message, remedy} = JSON.parse(text);
    told = remedy ? `${message}; ${remedy}` : message;
  } catch { /* the door answers in plain text */ }
  throw Object.assign(new Error(told || `the server says ${answer.status}`), {status: answer.status});
}

export const getJson = async (path) => (await call(path)).json();
export const postJson = async (path, body = {}) =>
  (await call(path, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)})).json();

/** Tell something for a few seconds, and the same thing once; screen readers hear it. */
export function toast(text, kind = "") {
  const one = h("div", {class: `toast ${kind}`}, text);
  const place = document.getElementById("toasts");
  [...place.children].find((other) => other.textContent === text)?.remove();
  place.append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 9000 : 5000);
}

/** Do what a button means: no second click meanwhile, errors told. */
export async function busy(button, work) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    return await work();
  } catch (error) {
    toast(error.message, "bad");
  } finally {
    button.disabled = false;
    // What is disabled loses the focus, and who has no mouse their place.
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (past >= size) return `${Math.floor(past / size)} ${unit} ago`;
  }
  return "now";
}

export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
