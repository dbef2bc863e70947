'use strict';
// Sends the folder of rules once, then asks for a quote for each order, all over one connection.
//
//   node main.js [ws://127.0.0.1:8765]

const fs = require('node:fs');
const path = require('node:path');

const url = process.argv[2] ?? 'ws://127.0.0.1:8765';

const item = (name, price, grams, count) => ({ name, price, grams, count });
const tea = item('tea', 450, 250, 2);
const kettle = item('kettle', 3000, 900, 1);
const orders = [
  { id: 'a', country: 'DE', items: [tea] },
  { id: 'b', country: 'FR', items: [tea, kettle], coupon: 'TEN' },
  { id: 'c', country: 'DE', items: [kettle], coupon: 'FIVER' },
  { id: 'd', country: 'XX', items: [tea] },
];

// connect resolves to call(method, params), which gives the result or throws the error of the reply.
async function connect(address) {
  const socket = new WebSocket(address);
  const waiting = new Map();
  let lastId = 0;

  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(data);
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(Object.assign(new Error(error.message), error));
    else resolve(result);
  });
  socket.addEventListener('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('connection closed'));
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error(`nobody answers at ${address}`)));
  });

  const call = (method, params) => new Promise((resolve, reject) => {
    const id = ++lastId;
    waiting.set(id, { resolve, reject });
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  });
  return { call, close: () => socket.close() };
}

// read gives the files below a folder, by their paths in it.
function read(folder) {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(entries.map(({ parentPath, name }) => {
    const file = path.join(parentPath, name);
    return [path.relative(folder, file).split(path.sep).join('/'), fs.readFileSync(file, 'utf8')];
  }));
}

// place is the line of the rules that threw.
const place = ({ stack }) => stack.match(/[\w./-]+\.ts:\d+/)[0];

async function main() {
  const { call, close } = await connect(url);
  const { bundle } = await call('runtime.put', { files: read(path.join(__dirname, 'rules')) });
  const lines = await Promise.all(orders.map(async (order) => {
    try {
      const { value } = await call('runtime.execute', { bundle, call: 'quote', args: [order] });
      return `${value.id}: ${JSON.stringify(value.lines)} = ${value.total}`;
    } catch (error) {
      if (error.code !== 1000) throw error;
      return `${order.id}: ${error.message}, ${error.data.message} (${place(error.data)})`;
    }
  }));
  close();
  console.log(lines.join('\n'));
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
