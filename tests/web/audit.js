// What can be told of a screen by a program: names, labels, contrast (WCAG 1.4.3), sizes to press, nothing wider than
// the window. Gives a list of what is wrong.
const problems = [];
const where = (e) => `<${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}${typeof e.className === "string" && e.className ? "." + e.className.replace(/ /g, ".") : ""}> "${(e.textContent || "").trim().slice(0, 40)}"`;
const shown = (e) => {
  const box = e.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && getComputedStyle(e).visibility !== "hidden" && !e.closest("[hidden], .sr, .skip");
};

if (!["ko", "en"].includes(document.documentElement.lang)) problems.push("the page has no language");
if (document.documentElement.scrollWidth > innerWidth) problems.push(`wider than the window: ${document.documentElement.scrollWidth} > ${innerWidth}`);
if (!document.querySelector("main")) problems.push("no main");
if (document.querySelectorAll("h1").length !== 1) problems.push(`${document.querySelectorAll("h1").length} h1`);
if (!document.title.trim()) problems.push("no title");
if (document.querySelectorAll("script:not([src]), style, [style], [onclick], [onload]").length) problems.push("something inline");

for (const e of document.querySelectorAll("input, select, textarea")) {
  if (!e.labels || !e.labels.length || ![...e.labels].some((l) => l.textContent.trim())) problems.push(`no label: ${where(e)}`);
}
for (const e of document.querySelectorAll("a[href], button, summary")) {
  if (!shown(e)) continue;
  if (!(e.getAttribute("aria-label") || e.textContent).trim()) problems.push(`no name: ${where(e)}`);
  const box = e.getBoundingClientRect();
  const inText = e.tagName === "A" && getComputedStyle(e).display === "inline";
  if (!inText && e.tagName !== "SUMMARY" && (box.height < 44 || box.width < 24) && !e.matches(".brand")) problems.push(`small to press (${Math.round(box.width)} × ${Math.round(box.height)}): ${where(e)}`);
}
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids.filter((id, n) => ids.indexOf(id) !== n)) problems.push(`id twice: ${id}`);
for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
  for (const id of `${e.getAttribute("aria-labelledby") || ""} ${e.getAttribute("aria-describedby") || ""}`.trim().split(/\s+/)) {
    if (!document.getElementById(id)) problems.push(`refers to #${id}, which is not there: ${where(e)}`);
  }
}

const parse = (text) => {
  const n = text.match(/[\d.]+/g).map(Number);
  return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1];
};
const over = (top, under) => top.slice(0, 3).map((v, n) => v * top[3] + under[n] * (1 - top[3]));
const behind = (e) => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour[3] > 0) layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
};
const light = (rgb) => {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const seen = new Set();
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || seen.has(e) || !shown(e) || e.closest("[aria-hidden=true], :disabled, noscript, script")) continue;
  seen.add(e);
  const style = getComputedStyle(e);
  const back = behind(e);
  const ink = over(parse(style.color), back);
  const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) problems.push(`contrast ${ratio.toFixed(2)}: ${where(e)}`);
}
return problems;
