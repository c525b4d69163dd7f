// Keeps a page true while it is open: the server renders, this script fetches the page anew and takes over what changed.
// Without it every page works the same, by reloading.

const page = document.body.dataset;
const lang = document.documentElement.lang;
const channel = new BroadcastChannel("watchdesk");
let skew = Number(page.now) * 1000 - Date.now(); // the server's clock minus ours
let known = Number(page.position); // the newest change that this page shows

// ---- times: the server writes UTC, the viewer reads their own

const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric" });
const full = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
const units = [["day", 86400, 2], ["hour", 3600, 2], ["minute", 60, 1], ["second", 1, 0]];

function duration(seconds) {
  const [unit, size] = units.find(([, size, turn]) => seconds >= size * turn);
  return new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "short" }).format(Math.floor(seconds / size));
}

function sameDay(a, b) {
  return a.toDateString() === b.toDateString();
}

const forms = {
  age: (time, now) => duration(Math.max(0, now - time) / 1000),
  left: (time, now) => duration(Math.max(0, time - now) / 1000),
  clock: (time, now) => (sameDay(time, now) ? clock.format(time) : `${day.format(time)} ${minute.format(time)}`),
  full: (time) => full.format(time),
  second: (time) => clock.format(time),
  tick: (time, now) => (sameDay(time, now) ? minute : time.getHours() + time.getMinutes() ? minute : day).format(time),
};

function localise(root) {
  const now = new Date(Date.now() + skew);
  for (const element of root.querySelectorAll("[data-as]")) {
    const time = new Date(element.dateTime ?? element.dataset.at);
    const text = forms[element.dataset.as](time, now);
    if (element.textContent !== text) element.textContent = text;
    if (element.dateTime) element.title = full.format(time);
  }
}

// ---- taking over what changed, without touching what the viewer is doing

const ownAttributes = new Set(["open", "title"]);

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !ownAttributes.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  morphAttributes(old, fresh);
  if (old.matches("textarea, select")) return; // what a person typed or chose stays theirs
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let cursor = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const alike = cursor && !cursor.id && cursor.nodeName === child.nodeName ? cursor : null;
    const match = child.id ? byId.get(child.id) : alike;
    if (match) {
      if (match === cursor) cursor = cursor.nextSibling;
      else old.insertBefore(match, cursor);
      morph(match, child);
    } else {
      const node = document.importNode(child, true);
      if (node.id) node.classList.add("fresh");
      old.insertBefore(node, cursor);
    }
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

function takeOver(next) {
  const focused = document.activeElement;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.getElementById(part.id);
    if (fresh) morph(part, fresh);
  }
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  document.title = next.title;
}

let busy = false;
let again = false;

async function refresh() {
  again = true;
  if (busy) return;
  busy = true;
  try {
    while (again) {
      again = false;
      await fetchPage();
      await new Promise((done) => setTimeout(done, 250)); // a storm of changes is one refresh, four times a second
    }
  } finally {
    busy = false;
  }
}

async function fetchPage() {
  const response = await fetch(page.self, { cache: "no-store" }).catch(() => null);
  if (!response) return show("reconnecting");
  if (response.redirected) return location.reload(); // signed out elsewhere
  if (!response.ok) return;
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  known = Number(next.body.dataset.position);
  skew = Number(next.body.dataset.now) * 1000 - Date.now();
  localise(next);
  takeOver(next);
}

// ---- the stream: one tab holds it and tells the others, as browsers allow few connections to a host

let state = "";
let leads = false;
let last = { type: "lost" };
let beats = 0; // a page with data-beat="n" is fetched anew at every n-th heartbeat

function show(next) {
  const sign = document.getElementById("live");
  if (next === state || !sign) return;
  if (state === "reconnecting") refresh(); // the fleet may have changed while nobody told us
  state = next;
  sign.hidden = false;
  sign.dataset.state = next;
  sign.textContent = next === "live" ? sign.dataset.good : sign.dataset.lost;
}

function hear({ type, position, incidents }) {
  if (type === "hello") {
    if (leads) channel.postMessage(last); // a new tab asks how things are
    return;
  }
  show(type === "lost" ? "reconnecting" : "live");
  const mine = incidents?.length && page.incident ? incidents.includes(Number(page.incident)) : true;
  if (type === "change" && mine) refresh();
  else if (type === "fleet" && page.fleet) refresh();
  else if (type === "beat" && (position > known || ++beats % page.beat === 0)) refresh();
}

function tell(message) {
  last = message.type === "lost" ? message : { type: "beat", position: message.position };
  channel.postMessage(message);
  hear(message);
}

function follow() {
  leads = true;
  const source = new EventSource(`/events?after=${known}`);
  for (const type of ["change", "fleet", "beat"]) {
    source.addEventListener(type, (event) => tell({ type, ...JSON.parse(event.data) }));
  }
  source.addEventListener("error", () => {
    tell({ type: "lost" });
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    fetchPage(); // refused, not just cut off: if it is because of a lost session, this leads to the login
    setTimeout(follow, 5000);
  });
}

// ---- the keyboard

function step(way) {
  const rows = [...document.querySelectorAll("a.row, .tile h2 a")];
  const at = rows.indexOf(document.activeElement);
  rows[Math.min(rows.length - 1, Math.max(0, at + way))]?.focus();
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  u: () => (location.href = "/"),
  c: () => document.querySelector("textarea")?.focus(),
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => document.getElementById("help")?.showModal(),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

// ---- a draft outlives a lost session or a mistaken reload; it is gone once the server has taken it

for (const field of document.querySelectorAll("textarea[data-draft]")) {
  const [draft, sent] = [`draft ${page.incident}`, `sent ${page.incident}`];
  if (location.hash === "#newest") {
    sessionStorage.removeItem(sent);
    history.replaceState(null, "", location.pathname);
  }
  field.value ||= sessionStorage.getItem(draft) || sessionStorage.getItem(sent) || "";
  field.addEventListener("input", () => sessionStorage.setItem(draft, field.value));
  field.form.addEventListener("submit", () => {
    sessionStorage.setItem(sent, field.value);
    sessionStorage.removeItem(draft);
  });
}

for (const select of document.querySelectorAll("form.filters select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
document.querySelector("[data-help]")?.addEventListener("click", keys["?"]);

localise(document);
setInterval(() => localise(document), 1000);
if (page.position !== undefined) {
  channel.addEventListener("message", (event) => hear(event.data));
  channel.postMessage({ type: "hello" });
  if (navigator.locks) navigator.locks.request("watchdesk", () => new Promise(follow));
  else follow();
}
