// Messages of Cap'n Proto over a Unix socket: what the library leaves to who uses it.
import { connect } from "node:net";
import { Conn, Message } from "capnp-es";
import { Message as RpcMessage } from "capnp-es/capnp/rpc";

const WORD_BYTES = 8;
const SEGMENTS_MAX = 512;
const MESSAGE_MAX_BYTES = 17 << 20; // No answer is larger.

/** How long the message at the beginning of these bytes is; undefined: more of it must come first. */
function messageLength(bytes) {
  if (bytes.length < 4) {
    return undefined;
  }
  const segments = bytes.readUInt32LE(0) + 1;
  if (segments > SEGMENTS_MAX) {
    throw new Error("no message of Cap'n Proto begins so");
  }
  const header = Math.ceil((4 + 4 * segments) / WORD_BYTES) * WORD_BYTES;
  if (bytes.length < header) {
    return undefined;
  }
  let length = header;
  for (let segment = 0; segment < segments; ++segment) {
    length += WORD_BYTES * bytes.readUInt32LE(4 + 4 * segment);
  }
  if (length > MESSAGE_MAX_BYTES) {
    throw new Error("a message that is larger than any answer");
  }
  return bytes.length < length ? undefined : length;
}

/** The transport that the library's Conn asks for. */
class SocketTransport {
  #socket;
  #bytes = Buffer.alloc(0);
  #messages = [];
  #ended; // Why nothing comes any more.
  #waiting; // Who wants the next message.

  constructor(socket) {
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the owner has ended the connection")));
  }

  sendMessage(message) {
    this.#socket.write(Buffer.from(message.segment.message.toArrayBuffer()));
  }

  recvMessage() {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#pass();
    });
  }

  close() {
    this.#ended ??= null; // Not an error.
    this.#socket.destroy();
    this.#pass();
  }

  #take(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    try {
      for (let length; (length = messageLength(this.#bytes)) !== undefined; ) {
        const message = new Uint8Array(this.#bytes.subarray(0, length)).buffer;
        this.#messages.push(new Message(message, false).getRoot(RpcMessage));
        this.#bytes = this.#bytes.subarray(length);
      }
    } catch (error) {
      this.#end(error);
      this.#socket.destroy();
    }
    this.#pass();
  }

  #end(error) {
    if (this.#ended === undefined) {
      this.#ended = error;
    }
    this.#pass();
  }

  #pass() {
    const waiting = this.#waiting;
    if (waiting === undefined || (this.#messages.length === 0 && this.#ended === undefined)) {
      return;
    }
    this.#waiting = undefined;
    if (this.#messages.length > 0) {
      waiting.resolve(this.#messages.shift());
    } else {
      waiting.reject(this.#ended ?? undefined);
    }
  }
}

/** To the owner at `unix:PATH`. Calls that wait are not answered when it fails: `lost` is told why. */
export async function connectToOwner(address, lost) {
  if (!address.startsWith("unix:")) {
    throw new Error(`${address}: an owner's address is unix:PATH`);
  }
  const socket = connect(address.slice("unix:".length));
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  const connection = new Conn(new SocketTransport(socket));
  connection.onError = (error) => error !== undefined && lost(error);
  return connection;
}
