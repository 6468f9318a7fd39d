// Looks at the pages of a report as people do: with a browser, a keyboard, a screen reader's eyes, a phone, at night, on paper.
//   node check.mjs PAGES SCREENSHOTS
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [pages, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const LARGEST = 3 << 20, SLOWEST = 1000; // bytes; milliseconds

let failed = 0;
const check = (holds, what) => {
  if (holds) return;
  failed += 1;
  console.error(`browser: ${what}`);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

// Opens a page; whatever it asks for, and whatever the browser complains of, is a failure.
async function open(name, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const url = `file://${join(pages, `${name}.html`)}`;
  page.on('request', (it) => check(it.url() === url || it.url() === 'data:,', `${name} asks for ${it.url()}`));
  page.on('console', (it) => check(it.type() !== 'error' && it.type() !== 'warning', `${name}: ${it.text()}`));
  page.on('pageerror', (it) => check(false, `${name}: ${it}`));
  page.on('dialog', (it) => { check(false, `${name} ran a script`); it.dismiss(); });
  const started = performance.now();
  await page.goto(url, { waitUntil: 'load' });
  if (options.javaScriptEnabled !== false) await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  return { page, took: performance.now() - started, close: () => context.close() };
}

async function accessible(name, options, rules = {}) {
  const { page, close } = await open(name, options);
  await page.evaluate(axe);
  const result = await page.evaluate(([tags, rules]) => axe.run({ runOnly: tags, rules }), [TAGS, rules]);
  check(result.passes.length > 10, `${name}: axe looked at nothing`);
  for (const it of result.violations) {
    check(false, `${name} ${JSON.stringify(options)}: ${it.id}: ${it.help}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
  }
  await close();
}

// Tab reaches everything that can be operated, in the order of the page, and shows where it is.
async function keyboard(name) {
  const { page, close } = await open(name);
  await page.keyboard.press('Tab');
  check(await page.evaluate(() => document.activeElement.className === 'skip'), `${name}: the first thing is no way past the links`);
  await page.keyboard.press('Enter');
  check(await page.evaluate(() => location.hash === '#main'), `${name}: the way past the links leads nowhere`);
  await page.evaluate(() => { location.hash = ''; document.activeElement.blur(); window.getSelection().removeAllRanges(); });
  await page.reload();
  const all = await page.evaluate(() => {
    const all = [...document.querySelectorAll('a[href], summary, [tabindex="0"]')];
    const there = all.filter((it) => it.checkVisibility({ contentVisibilityAuto: true }) && it.getClientRects().length > 0);
    there.forEach((it, index) => { it.dataset.turn = index; });
    return there.length;
  });
  for (let turn = 0; turn < all; turn += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const it = document.activeElement;
      const style = getComputedStyle(it);
      return { turn: it.dataset.turn, outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, what: it.outerHTML.slice(0, 120) };
    });
    if (Number(at.turn) !== turn) { check(false, `${name}: Tab ${turn} of ${all} is at ${at.what}`); break; }
    check(at.outline, `${name}: nothing shows that ${at.what} has the focus`);
  }
  const summary = page.locator('summary').first();
  if (await summary.count()) {
    await summary.focus();
    await page.keyboard.press('Enter');
    check(await page.evaluate(() => document.querySelector('details').open), `${name}: Enter opens nothing`);
  }
  console.log(`browser: ${name}: ${all} stops of the keyboard`);
  await close();
}

for (const name of ['40', '2000', 'image', 'empty']) {
  const bytes = statSync(join(pages, `${name}.html`)).size;
  check(bytes <= LARGEST, `${name} has ${bytes} bytes`);
  const times = [];
  for (let turn = 0; turn < 5; turn += 1) {
    const { took, close } = await open(name);
    times.push(took);
    await close();
  }
  const best = Math.min(...times);
  check(best <= SLOWEST, `${name} takes ${Math.round(best)} ms to open`);
  console.log(`browser: ${name}: ${bytes} bytes, ${Math.round(best)} ms to open (best of 5)`);
  for (const [look, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: { width: 390, height: 844 } }]]) {
    // Thousands of cells of five colours: they are looked at on the small page.
    if (name !== '2000' || look === 'light') await accessible(name, options, name === '2000' ? { 'color-contrast': { enabled: false } } : {});
    const { page, close } = await open(name, options);
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    check(wide <= 0, `${name} on the ${look} screen is ${wide} pixels too wide`);
    await page.screenshot({ path: join(shots, `${name}-${look}.png`), fullPage: name !== '2000' });
    await close();
  }
}
for (const name of ['40', 'image', 'empty']) await keyboard(name);

// Nothing needs a script; each cell says its verdict in words.
const { page, close } = await open('40', { javaScriptEnabled: false });
const cells = await page.locator('.heat td').allTextContents();
check(cells.length >= 100 && cells.every((it) => /fit|advisory|cannot/.test(it)), 'a cell of the matrix has no word');
check(new Set(cells.map((it) => it.trim())).size >= 4, 'all cells say the same');
await close();

// Paper opens nothing, so all is there.
const paper = await open('40');
const shown = () => paper.page.evaluate(() => document.querySelector('details table').checkVisibility());
check(!await shown(), 'what is folded is open');
await paper.page.emulateMedia({ media: 'print' });
check(await shown(), 'what is folded is missing on paper');
check(await paper.page.locator('nav').isHidden(), 'links to parts of the page are on paper');
await paper.page.pdf({ path: join(shots, '40.pdf'), format: 'A4' });
await paper.close();

await browser.close();
if (failed) { console.error(`browser: ${failed} things are wrong`); process.exit(1); }
console.log('browser: all passed');
