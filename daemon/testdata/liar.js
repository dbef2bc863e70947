// An agent that says hello as it should, and then what the code of each call tells it to.
"use strict";

let rest = Buffer.alloc(0);
let waiting = 0; // the last call that is not answered
let streams = 0; // opened so far

function send(kind, header, body) {
  const payload = Buffer.from(JSON.stringify(header) + (body === undefined ? "" : "\n" + body));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length);
  head[4] = kind;
  process.stdout.write(Buffer.concat([head, payload]));
}

function open(id, host) {
  waiting = id;
  send(17, { id, stream: ++streams, host, port: 80 });
}

const result = (id, value) => send(4, { id, time: 1 }, value);

function flood(say) {
  const more = () => {
    for (let i = 0; i < 1000; i++) say(i);
    setImmediate(more);
  };
  more();
}

const lies = {
  "the truth": (id) => result(id, "42"),
  "waits": (id) => { waiting = id; send(11, { id, callback: 1, name: "f" }, "[]"); },
  "answers another": (id) => { result(waiting, '"forged"'); result(id, "42"); },
  "answers twice": (id) => { result(id, "42"); result(id, "43"); },
  "answers nobody": () => result(4711, "42"),
  "no JSON": (id) => result(id, "{"),
  "a code of the daemon's": (id) => send(5, { id, code: 1007 }),
  "a wrong type": (id) => send(4, { id, console: 7 }, "1"),
  "a call": (id) => send(2, { id }, "{}"),
  "a callback that was not allowed": (id) => send(11, { id, callback: 1, name: "f" }, "[]"),
  "a long frame": () => process.stdout.write(Buffer.from([0x04, 0, 0, 0, 4])),
  "garbage": () => flood(() => process.stdout.write("Segmentation fault\n".repeat(1000))),
  "prints without end": (id) => flood(() => send(10, { id, level: "log" }, "x".repeat(1000))),
  "callbacks without end": (id) => { let n = 0; flood(() => send(11, { id, callback: ++n, name: "f" }, "[]")); },
  "says much elsewhere": (id) => { process.stderr.write("x\n".repeat(1 << 20)); result(id, "42"); },
  "half a frame": () => process.stdout.write(Buffer.from([0, 0, 16, 0, 4, 123])),
  "reads no more": () => process.stdin.pause(),
  "ends": () => process.exit(0),
  "a connection of nobody": () => send(17, { id: 4711, stream: 1, host: "liar.test", port: 80 }),
  "a connection that is not allowed": (id) => open(id, "other.test"),
  "a connection to the cloud": (id) => open(id, "169.254.169.254"),
  "a connection with a name of bytes": (id) => open(id, "liar.test\u0000.other.test"),
  "connections without end": (id) => flood(() => open(id, "liar.test")),
  "data of no connection": () => send(19, 1, "x"),
  "credit for nothing": () => send(20, { stream: 99, bytes: 1 << 30 }),
  "what the daemon says": (id) => { open(id, "other.test"); send(18, { stream: streams }); },
};

function take(kind, payload) {
  const end = payload.indexOf(10);
  const header = JSON.parse(end < 0 ? payload : payload.subarray(0, end));
  switch (kind) {
    case 1: send(1, { version: header.version, node: "v99.0.0", modules: ["fs", "../../etc"] }); break;
    case 2: lies[JSON.parse(payload.subarray(end + 1)).code](header.id); break;
    case 3: send(5, { id: header.id, code: 1003 }); break;
    case 15: send(16, {}); break;
    case 23: result(waiting, JSON.stringify(header.code)); break;
  }
}

process.stdin.on("data", (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(0)) {
    const [kind, payload] = [rest[4], rest.subarray(5, 5 + rest.readUInt32BE(0))];
    rest = rest.subarray(5 + payload.length);
    take(kind, payload);
  }
});
process.stdin.on("end", () => process.exit(0));
