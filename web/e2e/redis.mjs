// What the pipeline has really published, read from Redis without the gateway:
// the truth that a page's points are compared with.
import net from "node:net";

/** All results of a metric key that Redis keeps, oldest first. */
export async function history(address, key, refreshMs) {
  const entries = await command(address, ["XRANGE", `history:${key}@${refreshMs}`, "-", "+"]);
  return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf("r") + 1]));
}

function command(address, words) {
  const path = address.startsWith("unix://") ? address.slice("unix://".length) : null;
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = net.connect(path === null ? { host, port: Number(port) } : { path });
    let text = "";
    socket.setEncoding("latin1"); // Lengths are in bytes.
    socket.on("error", reject);
    socket.on("data", (part) => {
      text += part;
      const reader = { text, at: 0 };
      const answer = read(reader);
      if (answer === undefined) return;
      socket.destroy();
      if (answer instanceof Error) reject(answer);
      else resolve(answer);
    });
    socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
  });
}

/** The next value of the protocol; undefined while a part of it is missing. */
function read(reader) {
  const end = reader.text.indexOf("\r\n", reader.at);
  if (end < 0) return undefined;
  const kind = reader.text[reader.at];
  const head = reader.text.slice(reader.at + 1, end);
  reader.at = end + 2;
  switch (kind) {
    case "$": {
      const from = reader.at;
      reader.at += Number(head) + 2;
      return reader.at > reader.text.length ? undefined : Buffer.from(reader.text.slice(from, reader.at - 2), "latin1").toString();
    }
    case "*": {
      const values = [];
      for (let i = 0; i < Number(head); i++) {
        const value = read(reader);
        if (value === undefined) return undefined;
        values.push(value);
      }
      return values;
    }
    case "-":
      return new Error(`Redis: ${head}`);
    default:
      return head;
  }
}
