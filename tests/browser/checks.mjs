// What can be told of a page without knowing what it shows: names, labels, references, headings, contrast, width.
// Each function runs inside the page and gives the list of what is wrong.

/** Controls without a name, identifiers that are double or missing, headings that skip a level. */
export function structure() {
  const wrong = [];
  const visible = (element) => element.checkVisibility();
  const name = (element) => (element.getAttribute("aria-label") ?? element.innerText).trim();
  if (!document.documentElement.lang) wrong.push("html has no lang");
  for (const element of document.querySelectorAll("button, a, summary")) {
    if (visible(element) && !name(element)) wrong.push(`no name: ${element.outerHTML.slice(0, 80)}`);
    // Who speaks to the computer says what the button reads.
    if (element.ariaLabel && !element.ariaLabel.startsWith(element.innerText.trim())) wrong.push(`another name than its text: ${element.ariaLabel}`);
  }
  for (const input of document.querySelectorAll("input")) {
    if (![...input.labels].some((label) => label.textContent.trim())) wrong.push(`no label: ${input.outerHTML.slice(0, 80)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids.filter((one, index) => ids.indexOf(one) !== index)) wrong.push(`id twice: ${id}`);
  for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of element.getAttribute(attribute).split(" ")) if (!ids.includes(id)) wrong.push(`${attribute}=${id} leads nowhere`);
    }
  }
  for (const meter of document.querySelectorAll("[role=meter]")) {
    if (visible(meter) && !(meter.ariaLabel && meter.ariaValueNow)) wrong.push("a meter without name or value");
  }
  for (const element of document.querySelectorAll("[tabindex]")) if (element.tabIndex > 0) wrong.push("a positive tabindex");
  for (const element of document.querySelectorAll("[aria-hidden=true]")) if (element.querySelector("button, input, a")) wrong.push("a hidden control");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!visible(heading)) continue;
    const own = Number(heading.tagName[1]);
    if (own > level + 1) wrong.push(`h${own} after h${level}: ${heading.innerText}`);
    level = own;
  }
  if (document.querySelectorAll("main").length !== 1) wrong.push("not exactly one main");
  return wrong;
}

/** Texts with less contrast than WCAG AA asks for. */
export function contrast() {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const background = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("Canvas");
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const wrong = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".skip, .hidden-text, noscript")) continue;
    const style = getComputedStyle(element);
    const [front, back] = [luminance(rgba(style.color)), luminance(background(element))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) wrong.add(`${ratio.toFixed(2)} for "${texts.currentNode.data.trim().slice(0, 40)}"`);
  }
  return [...wrong];
}

/** What does not fit a phone: sideways scrolling, a letter a line, and buttons too small for a thumb. */
export function phone() {
  const wrong = [];
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) wrong.push(`the page is ${scrollWidth} wide on a screen of ${clientWidth}`);
  for (const element of document.querySelectorAll("main *, .events *")) {
    const { width, height } = element.getBoundingClientRect();
    if (element.checkVisibility() && element.children.length === 0 && element.innerText.length > 3 && height > 3 * width) wrong.push(`squeezed: ${element.innerText}`);
  }
  for (const control of document.querySelectorAll("button, input")) {
    const box = control.getBoundingClientRect();
    if (control.checkVisibility() && box.height < 44) wrong.push(`${box.height} high: ${control.outerHTML.slice(0, 60)}`);
    if (control.checkVisibility() && (box.left < 0 || box.right > clientWidth)) wrong.push(`cut off: ${control.outerHTML.slice(0, 60)}`);
  }
  return wrong;
}
