'use strict';
// Runs the workflow of an order, and loses its connection in the middle of a step.
//
//   node main.js [ws://127.0.0.1:8765] [journal] [drop|crash]
//
// With a journal, a file, a workflow goes on where another run left it. crash ends the engine itself there.

const { readFileSync } = require('node:fs');
const path = require('node:path');
const { Engine } = require('./engine.js');
const { Journal } = require('./journal.js');

const [url = 'ws://127.0.0.1:8765', file, trouble = 'drop'] = process.argv.slice(2);
const steps = ['price', 'charge', 'ship'];
const order = { items: [{ name: 'tea', cents: 850, count: 3 }, { name: 'cup', cents: 1700, count: 1 }] };
const secrets = { bank: process.env.BANK_KEY ?? 'not a real key' };

async function main() {
  const journal = new Journal(file);
  if (!journal.get('order')) journal.put('order', 'order', order);
  const engine = new Engine({ url, journal, secrets, log });
  for (const step of steps) await engine.run(step, readFileSync(path.join(__dirname, 'steps', `${step}.js`), 'utf8'));
  log(`shipped: ${JSON.stringify(journal.get('shipment'))}`);
  engine.drop();

  function log(line) {
    console.log(line);
    if (line !== 'charge | asking the bank') return;
    if (trouble === 'crash') process.exit(1);
    engine.drop();
  }
}

main().catch((error) => {
  console.log(error.message);
  process.exit(1);
});
