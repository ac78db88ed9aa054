// Shows /openapi.json: every operation with its parameters, bodies, answers, headers and examples. Only what this
// description uses of OpenAPI 3.0 is understood. Elements are made by calls, never from text.
"use strict";

let api;

function h(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false) element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** What a reference names; anything else is itself. */
function resolve(node) {
  if (!node || !node.$ref) return node;
  return node.$ref
    .slice(2)
    .split("/")
    .reduce((at, part) => at[part.replace(/~1/g, "/").replace(/~0/g, "~")], api);
}

const nameOf = (node) => (node && node.$ref ? node.$ref.split("/").pop() : "");

/** Text with `code` in it. */
function prose(text) {
  return (text || "").split("\n\n").map((part) => h("p", {}, part.split("`").map((piece, n) => (n % 2 ? h("code", {}, piece) : piece))));
}

function table(head, rows) {
  if (!rows.length) return null;
  return h(
    "div.scroll",
    {},
    h("table", {}, h("thead", {}, h("tr", {}, head.map((c) => h("th", { scope: "col" }, c)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((c, n) => h(n ? "td" : "th.name", n ? {} : { scope: "row" }, c)))))),
  );
}

// ---- schemas ----

function typeOf(node) {
  const name = nameOf(node);
  if (name) return h("a", { href: `#schema-${name}` }, name);
  if (node.type === "array") return h("span", {}, "array of ", typeOf(node.items));
  return node.format ? `${node.type} (${node.format})` : node.type || "object";
}

function limits(node) {
  const parts = [];
  if (node.enum) parts.push(`one of ${node.enum.join(", ")}`);
  if (node.pattern) parts.push(h("code", {}, node.pattern));
  if (node.minimum !== undefined || node.maximum !== undefined) parts.push(`${node.minimum ?? ""} … ${node.maximum ?? ""}`);
  if (node.minLength !== undefined || node.maxLength !== undefined) parts.push(`${node.minLength ?? 0} … ${node.maxLength ?? ""} characters`);
  if (node.default !== undefined) parts.push(`default ${node.default}`);
  return parts.flatMap((p, n) => (n ? ["; ", p] : [p]));
}

/** Every member of an object, those of allOf and of nested objects included: [path, schema, required]. */
function members(node, prefix = "") {
  const own = resolve(node);
  const inherited = (own.allOf || []).flatMap((part) => members(part, prefix));
  const listed = Object.entries(own.properties || {}).flatMap(([name, part]) => {
    const path = prefix + name;
    const row = [path, part, (own.required || []).includes(name)];
    if (part.type === "object" && part.properties) return [row, ...members(part, `${path}.`)];
    if (part.type === "array" && part.items.properties) return [row, ...members(part.items, `${path}[].`)];
    return [row];
  });
  return [...inherited, ...listed];
}

function schemaTable(node) {
  const rows = members(node).map(([path, part, required]) => [h("code", {}, path, required ? "" : h("span.maybe", { title: "may be absent" }, "?")), typeOf(part), h("span", {}, part.description || resolve(part).description || "", limits(part).length ? [" ", h("span.limits", {}, limits(part))] : "")]);
  return table(["member", "type", "meaning"], rows);
}

// ---- examples ----

function code(text, label) {
  const copy = h("button.copy", { type: "button", "aria-label": `Copy ${label}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Not allowed";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  return h("div.code", {}, copy, h("pre", { tabindex: "0", "aria-label": label }, text));
}

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function examples(media) {
  if (media.example !== undefined) return code(written(media.example), "example");
  return Object.entries(media.examples || {}).map(([name, example], n, all) => {
    const body = code(written(example.value), example.summary || name);
    return all.length === 1 ? h("div", {}, h("p.example", {}, example.summary || name), body) : h("details.example", { open: n === 0 }, h("summary", {}, example.summary || name), body);
  });
}

function content(media) {
  return Object.entries(media || {}).map(([type, one], n) => {
    const schema = one.schema || {};
    const data = (schema.properties && schema.properties.data) || null;
    const inside = [
      h("p.type", {}, h("code", {}, type), " ", data ? ["data: ", typeOf(data)] : nameOf(schema) ? typeOf(schema) : ""),
      examples(one),
    ];
    return n ? h("details.media", {}, h("summary", {}, type), inside.slice(1)) : h("div.media", {}, inside);
  });
}

// ---- operations ----

function curl(path, method, operation, parameters) {
  const base = location.origin + (operation.tags.includes("core") && behindGateway ? "/product" : "");
  const query = parameters.filter((p) => p.in === "query" && p.required).map((p) => `${p.name}=${encodeURIComponent(p.example)}`);
  const at = path.replace(/\{(\w+)\}/g, (_, name) => (parameters.find((p) => p.name === name) || {}).example || name);
  const lines = [`curl -s ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${base}${at}${query.length ? `?${query.join("&")}` : ""}'`];
  if (!operation.security) lines.push('-H "Authorization: Bearer $TOKEN"');
  if (operation.requestBody) {
    const media = resolve(operation.requestBody).content["application/json"];
    const first = media.example || Object.values(media.examples)[0].value;
    lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(first)}'`);
  }
  return lines.join(" \\\n  ");
}

const idOf = (method, path) => `${method}-${path.replace(/\W+/g, "-").replace(/^-|-$/g, "")}`;

function operationPart(path, method, operation) {
  const parameters = (operation.parameters || []).map(resolve);
  return h(
    "section.operation",
    { id: idOf(method, path), "aria-labelledby": `${idOf(method, path)}-title` },
    h("h3", { id: `${idOf(method, path)}-title` }, h(`span.method.${method}`, {}, method.toUpperCase()), h("code.path", {}, path)),
    h("p.summary", {}, operation.summary),
    prose(operation.description),
    code(curl(path, method, operation, parameters), `curl line of ${method} ${path}`),
    parameters.length > 0 && [h("h4", {}, "Parameters"), table(["name", "in", "type", "meaning"], parameters.map((p) => [h("code", {}, p.name, p.required ? "" : h("span.maybe", { title: "optional" }, "?")), p.in, typeOf(p.schema), h("span", {}, p.description, " ", h("span.limits", {}, limits(p.schema))) ]))],
    operation.requestBody && [h("h4", {}, "Body"), content(resolve(operation.requestBody).content)],
    h("h4", {}, "Answers"),
    Object.entries(operation.responses).map(([status, response]) => answer(status, resolve(response))),
  );
}

function answer(status, response) {
  const headers = Object.entries(response.headers || {}).map(([name, node]) => {
    const header = resolve(node);
    return [h("code", {}, name, header.required ? "" : h("span.maybe", { title: "not always" }, "?")), h("span", {}, header.description, header.example !== undefined ? [" ", h("code", {}, String(header.example))] : "")];
  });
  return h(
    "details.answer",
    { open: status === "200" },
    h("summary", {}, h(`span.status.s${status[0]}`, {}, status), h("span", {}, response.description.split("`").map((piece, n) => (n % 2 ? h("code", {}, piece) : piece)))),
    content(response.content),
    headers.length > 0 && h("details.headers", {}, h("summary", {}, `${headers.length} headers`), table(["header", "meaning"], headers)),
  );
}

// ---- the page ----

let behindGateway = false;

function draw() {
  const all = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  document.title = `${api.info.title} ${api.info.version}`;
  document.getElementById("main").replaceChildren(
    h("header", {}, h("h1", {}, api.info.title, " ", h("span.version", {}, api.info.version)), prose(api.info.description), h("p", {}, "The description itself: ", h("a", { href: "/openapi.json" }, "/openapi.json"), " (OpenAPI ", api.openapi, ").")),
    ...api.tags.map((tag) => h("div.group", {}, h("h2", { id: `tag-${tag.name.replace(/\W/g, "-")}` }, tag.name), prose(tag.description), all.filter((o) => o.operation.tags.includes(tag.name)).map((o) => operationPart(o.path, o.method, o.operation)))),
    h("div.group", {}, h("h2", { id: "schemas" }, "Schemas"), Object.entries(api.components.schemas).map(([name, node]) => h("section.schema", { id: `schema-${name}` }, h("h3", {}, name), prose(node.description), schemaTable(node)))),
  );
  document.getElementById("list").replaceChildren(
    ...api.tags.map((tag) => h("div", {}, h("h2", {}, tag.name), h("ul", {}, all.filter((o) => o.operation.tags.includes(tag.name)).map((o) => h("li", { "data-text": `${o.method} ${o.path} ${o.operation.summary}`.toLowerCase() }, h("a", { href: `#${idOf(o.method, o.path)}`, title: o.operation.summary }, h(`span.method.${o.method}`, {}, o.method.toUpperCase()), h("span", {}, o.path.split(/(?<=\/)/).flatMap((part) => [part, h("wbr", {})])))))))),
    h("div", {}, h("h2", {}, "Schemas"), h("ul", {}, Object.keys(api.components.schemas).map((name) => h("li", { "data-text": name.toLowerCase() }, h("a", { href: `#schema-${name}` }, name))))),
  );
  const there = location.hash && document.getElementById(location.hash.slice(1));
  if (there) there.scrollIntoView();
}

document.getElementById("find").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const item of document.querySelectorAll("#list li")) item.hidden = !item.dataset.text.includes(wanted);
});

async function start() {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`/openapi.json: ${answer.status}`);
  api = await answer.json();
  // The gateway has a /healthz of its own and the core paths under /product.
  behindGateway = (await fetch("/healthz").catch(() => ({ ok: false }))).ok;
  draw();
}

start().catch((problem) => {
  const wait = document.getElementById("wait");
  if (wait) wait.textContent = `The description could not be shown: ${problem.message}`;
});
