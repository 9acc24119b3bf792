// Plays streams in Chromium, several at a time. Reads one line of JSON: {chromium, page, at_once, jobs: [{name, player, url, enough, wait}]}
// and writes one for each job: {name, plays, seconds, error}. Its argument is the folder with node_modules.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const puppeteer = createRequire(`${process.argv[2]}/`)('puppeteer-core');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { chromium, page: address, at_once: atOnce, jobs } = JSON.parse((await lines.next()).value);

const browser = await puppeteer.launch({
  executablePath: chromium,
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--mute-audio', '--autoplay-policy=no-user-gesture-required',
    '--disable-background-networking', '--disable-component-update', '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows', '--no-proxy-server',
    // Names of the corpus are this machine, and all others are nowhere.
    '--host-resolver-rules=MAP *.example.com 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE 127.0.0.2',
  ],
});

// One page for all: Chromium loads no media in a tab that nobody looks at.
const page = await browser.newPage();
await page.goto(address);

async function play(job) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, (job.wait + 10) * 1000, { plays: false, seconds: 0, error: 'no answer from the page' });
  });
  try {
    return await Promise.race([page.evaluate((one) => window.play(one), job), late]);
  } catch (error) {
    return { plays: false, seconds: 0, error: String(error) };
  } finally {
    clearTimeout(timer);
  }
}

async function worker() {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    console.log(JSON.stringify({ name: job.name, ...(await play(job)) }));
  }
}

await Promise.all(Array.from({ length: atOnce }, worker));
await browser.close();
process.stdin.destroy();
