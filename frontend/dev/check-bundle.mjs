// Runs after the build: what is loaded first stays small, and the page needs
// neither inline scripts nor another host.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const budget = 300 * 1024;
const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const html = await readFile(`${dist}index.html`, 'utf8');
const problems = [];

const urls = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]);
for (const url of urls) if (!url.startsWith('/monitoring/assets/')) problems.push(`index.html refers to ${url}, outside of /monitoring/assets/`);
if (/<script(?![^>]*\bsrc=)[^>]*>/.test(html)) problems.push('index.html has an inline script');
if (/<style|\sstyle=|\son\w+=/.test(html)) problems.push('index.html has inline styles or handlers');

let total = 0;
for (const url of urls.filter((each) => /\.(js|css)$/.test(each))) total += gzipSync(await readFile(dist + url.replace('/monitoring/', '')), { level: 9 }).length;
console.log(`first load: ${(total / 1024).toFixed(1)} KB gzip of ${budget / 1024}`);
if (total > budget) problems.push('the first load is over its budget');

for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
