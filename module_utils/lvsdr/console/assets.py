# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Style and script of the page. The script exchanges parts that have changed, and asks before it acts; it makes no markup of its own."""

STYLE = """
:root { --text: #1c2126; --soft: #56606b; --back: #fff; --line: #d4dae0; --good: #0b6b3a; --warn: #7a4d00; --bad: #b00020; --calm: #3d5a80;
  --badback: #fdecee; --warnback: #fff5e0; --fineback: #eaf6ef; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ec; --soft: #a7b0ba; --back: #14181c; --line: #343c44; --good: #6fd39b;
  --warn: #f0bd5e; --bad: #ff8a93; --calm: #9dbce6; --badback: #3a1a1e; --warnback: #33290f; --fineback: #14301f; --band: #1c2227; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 0 1rem 2rem; font: 15px/1.45 system-ui, sans-serif; color: var(--text);
  background: var(--back); }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; flex-wrap: wrap; }
h1 { font-size: 1.3rem; margin: .8rem 0; } h2 { font-size: 1.1rem; margin: 1.2rem 0 .2rem; }
h3 { font-size: 1rem; margin: .8rem 0 .1rem; }
small, .since, .why, .totals, #live, time { color: var(--soft); font-weight: normal; } p { margin: .2rem 0 .5rem; }
#problems { padding: .1rem 1rem .4rem; border-left: .4rem solid var(--good); background: var(--fineback); }
#problems.warn, #drift { padding: .1rem 1rem .4rem; border-left: .4rem solid var(--warn); background: var(--warnback); }
#problems.bad { border-color: var(--bad); background: var(--badback); }
#problems h2, #drift h2 { margin: .5rem 0 .3rem; } #problems ul, #drift ul { margin: .2rem 0 .4rem; padding-left: 1.1rem; }
#problems .do { display: block; } #problems .since, #problems .do { color: var(--text); }
#drift { margin: 1.2rem 0; } #drift[hidden] { display: none; }
code { font-size: .92em; background: var(--band); padding: 0 .3em; }
.path { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 2rem; list-style: none; padding: 0; margin: 1rem 0; }
.path > li { position: relative; border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .8rem; }
.path > li + li::before { content: "\\2192"; position: absolute; left: -1.6rem; color: var(--soft); }
.path span { display: block; color: var(--soft); }
.path ul { list-style: none; margin: 0; padding: 0; display: flex; gap: .6rem; flex-wrap: wrap; }
.path ul li { border: 1px solid var(--line); border-radius: .3rem; padding: .2rem .7rem; } .path .group { border-style: dashed; }
.path ul li.active { border: 2px solid var(--good); } .path ul li.bad { border: 2px solid var(--bad); }
.path li.bad span { color: var(--bad); }
.scroll { overflow-x: auto; position: relative; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; }
tbody tr { border-top: 1px solid var(--line); } thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
tr.bad { background: var(--badback); } tr.calm { background: var(--band); }
b.good { color: var(--good); } b.warn { color: var(--warn); } b.bad, p.bad { color: var(--bad); } b.calm { color: var(--calm); }
#problems.bad, #problems.warn { color: var(--text); }
.spark { width: 7.5rem; height: 1.2rem; }
.spark polyline { fill: none; stroke: var(--calm); stroke-width: 1; vector-effect: non-scaling-stroke; }
#events ol { list-style: none; padding: 0; margin: .2rem 0; max-height: 20rem; overflow-y: auto; } time { margin-right: .6rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
button { font: inherit; padding: .1rem .7rem; border: 1px solid var(--soft); border-radius: .3rem; background: var(--back);
  color: var(--text); cursor: pointer; }
button:disabled { opacity: .5; cursor: default; } tbody td:nth-child(2) { min-width: 13rem; }
button:focus-visible, input:focus-visible, .scroll:focus-visible { outline: 3px solid var(--calm); outline-offset: 1px; }
dialog { max-width: 34rem; border: 1px solid var(--line); border-radius: .5rem; color: var(--text); background: var(--back); }
dialog::backdrop { background: rgba(0, 0, 0, .5); } dialog label { display: block; margin: .5rem 0; }
dialog input { display: block; width: 100%; font: inherit; padding: .3rem; color: var(--text); background: var(--back);
  border: 1px solid var(--soft); }
#ask-answer { color: var(--bad); white-space: pre-line; } #live.bad { color: var(--bad); font-weight: 600; }
@media (max-width: 40rem) { .path { gap: 1.6rem; flex-direction: column; align-items: stretch; }
  .path > li + li::before { content: "\\2193"; left: 50%; top: -1.5rem; } }
@media print { button, #live { display: none; } }
"""

SCRIPT = """
'use strict';
const main = document.getElementById('main'), live = document.getElementById('live'), ask = document.getElementById('ask');
const by = (id) => document.getElementById(id);
// Exchanges what differs, row by row, so that a button keeps its focus and a list its place.
const shape = (root) => [...root.querySelectorAll('[id]')].map((one) => one.id).join();
function frame(one) {
  const copy = one.cloneNode(true);
  copy.querySelectorAll('tr[id], p[id]').forEach((part) => part.remove());
  return copy.outerHTML;
}
function exchange(html) {
  const fresh = new DOMParser().parseFromString(html, 'text/html').body;
  if (shape(fresh) !== shape(main)) return replace(main, fresh);
  for (const section of fresh.querySelectorAll('section[id]')) {
    const old = by(section.id);
    if (frame(old) !== frame(section)) { replaceOne(old, section); continue; }
    for (const one of section.querySelectorAll('tr[id], p[id]')) if (by(one.id).outerHTML !== one.outerHTML) replaceOne(by(one.id), one);
  }
}
function keep(work) {
  const id = document.activeElement && document.activeElement.id;
  const lists = [...main.querySelectorAll('.scroll')].map((one) => one.scrollLeft);
  work();
  [...main.querySelectorAll('.scroll')].forEach((one, at) => { one.scrollLeft = lists[at] || 0; });
  if (id && by(id) && document.activeElement !== by(id)) by(id).focus({ preventScroll: true });
}
const replace = (old, fresh) => keep(() => old.replaceChildren(...fresh.childNodes));
const replaceOne = (old, fresh) => keep(() => old.replaceWith(fresh));
let last = Date.now();
function listen() {
  const source = new EventSource('api/events');
  source.addEventListener('state', (event) => { last = Date.now(); exchange(JSON.parse(event.data)); });
  // After an error of a proxy, as while the console restarts, it does not try again.
  source.addEventListener('error', () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000); });
}
setInterval(() => {
  const age = Math.round((Date.now() - last) / 1000);
  live.textContent = age > 6 ? `not up to date: nothing heard for ${age} s` : 'live';
  live.className = age > 6 ? 'bad' : '';
}, 1000);
const post = (path, body) => fetch(path, {
  method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Lvsdr-Console': '1' }, body: JSON.stringify(body),
}).then((answer) => answer.json());
main.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-verb]');
  if (!button) return;
  const { verb, host } = button.dataset;
  by('ask-title').textContent = `${verb[0].toUpperCase()}${verb.slice(1)} ${host}?`;
  by('ask-answer').textContent = '';
  by('ask-says').replaceChildren();
  by('ask-why').value = '';
  by('ask-yes').disabled = true;
  try { by('ask-who').value = by('ask-who').value || localStorage.getItem('who') || ''; } catch { /* a browser that keeps nothing */ }
  ask.dataset.verb = verb;
  ask.dataset.host = host;
  ask.showModal();
  try {
    const found = await post('api/plan', { verb, host });
    const item = (words) => Object.assign(document.createElement('li'), { textContent: words });
    by('ask-says').replaceChildren(...(found.says || []).map(item));
    by('ask-answer').textContent = (found.refused || []).join('\\n');
    by('ask-yes').disabled = (found.refused || []).length > 0;
  } catch (error) { by('ask-answer').textContent = `The console does not answer: ${error.message}`; }
});
by('ask-yes').addEventListener('click', async (event) => {
  if (!by('ask-why').reportValidity() || !by('ask-who').reportValidity()) return;
  event.preventDefault();
  by('ask-yes').disabled = true;
  const { verb, host } = ask.dataset;
  const who = by('ask-who').value.trim(), why = by('ask-why').value.trim();
  try { localStorage.setItem('who', who); } catch { /* as above */ }
  try {
    const found = await post('api/actions', { verb, host, who, why });
    by('ask-answer').textContent = [...(found.refused || []), ...(found.warnings || [])].join('\\n');
    if (!by('ask-answer').textContent) ask.close();
  } catch (error) { by('ask-answer').textContent = `It is not known whether it was done: ${error.message}`; }
  by('ask-yes').disabled = false;
});
listen();
"""
