'use strict';
// Runs a few scripts at once over one connection, with nothing but Node's own WebSocket.
//
//   node main.js [ws://127.0.0.1:8765]

const url = process.argv[2] ?? 'ws://127.0.0.1:8765';

// connect resolves to execute(script), which gives the result or throws the error of the reply.
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

  const execute = (script) => new Promise((resolve, reject) => {
    const id = ++lastId;
    waiting.set(id, { resolve, reject });
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'runtime.execute', params: script }));
  });
  return { execute, close: () => socket.close() };
}

const scripts = {
  value: {
    code: 'async function area({ width, height }) { return width * height }',
    call: 'area',
    args: [{ width: 6, height: 7 }],
  },
  console: {
    code: 'function greet(cb) { console.log("hello", { name }); cb(name.length) }',
    globals: { name: 'world' },
    call: 'greet',
  },
  exception: { code: 'function fail() { throw new RangeError("too far") }', call: 'fail' },
  timeout: { code: 'function forever() { while (true) {} }', call: 'forever', timeout: 200 },
};

async function main() {
  const { execute, close } = await connect(url);
  const lines = await Promise.all(Object.entries(scripts).map(async ([name, script]) => {
    try {
      const { value, console: printed } = await execute(script);
      return `${name}: ${JSON.stringify(value)} ${JSON.stringify(printed)}`;
    } catch (error) {
      return `${name}: error ${error.code ?? ''} ${error.message}`;
    }
  }));
  close();
  console.log(lines.join('\n'));
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
