// One address before a server and a gateway, as a load balancer would be: pages
// and streams come from the gateway, the rest from the server. The network
// between browser and gateway can fail in the ways that networks do.
import http from "node:http";
import net from "node:net";

export async function startFront(server, gateway) {
  const front = new Front(new URL(server).host, gateway);
  await front.listen();
  return front;
}

class Front {
  #server;
  /** Both ends of each open stream. */
  #streams = new Set();
  #pairs = new Set();
  /** While true, streams cannot be opened. */
  closed = false;
  /** While true, nothing answers at all. */
  gone = false;
  /** While true, streams open, and the gateway's greeting does not come through. */
  mute = false;
  /** How long what is said takes each way, in ms, over streams that are opened from now on. */
  latencyMs = 0;
  /** How many pages more are served as of another build, and how many were served. */
  olderPages = 0;
  pages = 0;
  /** The build that the gateway's greeting is to name instead, as long as the true one; over streams that are opened from now on. */
  build = "";

  constructor(server, gateway) {
    this.server = server;
    this.gateway = gateway;
    this.#server = http.createServer((request, response) => this.#forward(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Streams that are open now stay so, but nothing passes any more, in neither direction. */
  silence() {
    for (const pair of this.#pairs) {
      for (const [from, to] of [pair, [...pair].reverse()]) {
        from.unpipe(to);
        from.pause();
      }
    }
  }

  /** Streams that are open now end without a word. */
  cut() {
    for (const socket of this.#streams) socket.destroy();
  }

  stop() {
    this.cut();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #forward(request, response) {
    if (this.gone) {
      request.socket.destroy();
      return;
    }
    const [host, port] = this.server.split(":");
    const isPage = /^\/(d\/|status|send)/.test(request.url);
    if (isPage) delete request.headers["if-none-match"];
    const onward = http.request({ host, port, method: request.method, path: request.url, headers: request.headers }, (answer) => {
      if (isPage) {
        this.#page(answer, response);
        return;
      }
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  }

  async #page(answer, response) {
    let text = "";
    for await (const chunk of answer.setEncoding("utf8")) text += chunk;
    this.pages++;
    if (this.olderPages-- > 0) text = text.replace(/(<meta name="pulseboard-build" content=")[^"]*/, "$1of another day");
    delete answer.headers["content-length"];
    delete answer.headers.etag;
    response.writeHead(answer.statusCode, answer.headers);
    response.end(text);
  }

  #upgrade(request, socket, head) {
    if (this.closed || this.gone) {
      socket.destroy();
      return;
    }
    const [host, port] = this.gateway.split(":");
    const onward = net.connect(Number(port), host, () => {
      const headers = [];
      for (let i = 0; i < request.rawHeaders.length; i += 2) headers.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      if (this.latencyMs > 0) {
        delay(socket, onward, this.latencyMs);
        delay(onward, socket, this.latencyMs);
        return;
      }
      socket.pipe(onward);
      // The upgrade is answered, and no more.
      if (this.build !== "") onward.on("data", (chunk) => socket.write(Buffer.from(chunk.toString("latin1").replace(/"build":"[^"]*"/, `"build":"${this.build}"`), "latin1")));
      else if (this.mute) onward.once("data", (answer) => onward.pause() && socket.write(answer));
      else onward.pipe(socket);
    });
    const pair = [socket, onward];
    this.#pairs.add(pair);
    for (const end of pair) {
      this.#streams.add(end);
      end.on("error", () => end.destroy());
      end.on("close", () => {
        this.#streams.delete(end);
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
    }
  }
}

/** Passes all on, in order, after a while. */
function delay(from, to, ms) {
  from.on("data", (chunk) => setTimeout(() => to.writable && to.write(chunk), ms));
}
