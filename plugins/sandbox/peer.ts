/**
 * Calls across a pair of byte streams, in both directions: one side of the wall between kvjudge and a
 * policy that runs in a sandbox.
 *
 * @module
 */

/** A function on the other side, or one that the other side may call. */
export type Callable = (...values: readonly unknown[]) => unknown;

/** Bytes in memory of their own, from its first byte on. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What a peer reads from and writes to. */
export interface PeerStreams {
  /** Exactly that many bytes; fails at the end of the stream. */
  read(size: number): Promise<Bytes>;
  /** Writes all bytes. */
  write(bytes: Bytes): Promise<void>;
  /** Makes an error of what the other side threw. */
  readonly errorOf: (name: string, message: string) => Error;
  /** Gets the lines that the other side prints. */
  readonly onPrint: (text: string) => void;
  /** Gets the reason why the peer ended. */
  readonly onEnd: (reason: Error) => void;
}

/** One side of the wall. */
export interface Peer {
  /** Lets the other side call a function by number, before it was given one. */
  expose(id: number, own: Callable): void;
  /** A function of the other side by number. */
  remote(id: number): Callable;
  /** Functions among `values` may be called for as long as the peer lives. */
  callKeeping(id: number, values: readonly unknown[]): Promise<unknown>;
  /** Answers calls until the stream ends. Otherwise a peer reads only while it awaits an answer. */
  serve(): Promise<void>;
  /** Prints on the other side. */
  print(text: string): void;
  /** Fails every call that is open, and all that come. */
  end(reason: Error): void;
}

/**
 * Makes a peer. A message is a length of JSON, a length of bytes, the JSON, the bytes; arrays of
 * numbers travel as bytes, functions as numbers. What a call is given may be called until the call is
 * answered, what it returns may be called for good.
 *
 * The source of this function runs in the sandbox too, so it uses nothing from outside itself.
 */
export function createPeer(streams: PeerStreams): Peer {
  /** Most bytes of a message's JSON and of its arrays, and most calls that wait for an answer. */
  const LIMITS = { json: 1 << 20, bytes: 2 ** 30, calls: 32, text: 2000 };
  const KINDS = { f32: Float32Array, i32: Int32Array, u8: Uint8Array, f64: Float64Array } as const;
  type Kind = keyof typeof KINDS;
  type Numbers = InstanceType<typeof KINDS[Kind]>;
  interface Waiting {
    readonly resolve: (value: unknown) => void;
    readonly reject: (error: Error) => void;
  }

  const waiting = new Map<number, Waiting>();
  const own = new Map<number, Callable>();
  const remotes = new WeakMap<Callable, number>();
  const state = { id: 1, served: 0, pumping: false };
  let ended: Error | undefined;
  let writing: Promise<void> = Promise.resolve();

  const kindOf = (value: unknown): Kind | undefined => {
    if (value instanceof Float32Array) return "f32";
    if (value instanceof Int32Array) return "i32";
    if (value instanceof Uint8Array) return "u8";
    return value instanceof Float64Array ? "f64" : undefined;
  };

  const send = (message: object, exported: number[] = []): Promise<void> => {
    const arrays: Numbers[] = [];
    let size = 0;
    const json = JSON.stringify(message, (_key, value: unknown) => {
      if (typeof value === "function") {
        const callable = value as Callable;
        const id = remotes.get(callable);
        if (id !== undefined) return { $kv: ["yours", id] };
        const fresh = state.id++;
        own.set(fresh, callable);
        exported.push(fresh);
        return { $kv: ["mine", fresh] };
      }
      const kind = kindOf(value);
      if (kind === undefined) return value;
      const numbers = value as Numbers;
      arrays.push(numbers);
      size += numbers.byteLength;
      return { $kv: [kind, size - numbers.byteLength, numbers.length] };
    });
    const text = new TextEncoder().encode(json);
    if (text.length > LIMITS.json || size > LIMITS.bytes) {
      throw new RangeError(
        `it gives ${text.length} bytes of text and ${size} bytes of numbers at once, ` +
          `${LIMITS.json} and ${LIMITS.bytes} are the most`,
      );
    }
    const head = new Uint8Array(8 + text.length);
    new DataView(head.buffer).setUint32(0, text.length, true);
    new DataView(head.buffer).setUint32(4, size, true);
    head.set(text, 8);
    const write = async () => {
      await streams.write(head);
      for (const { buffer, byteOffset, byteLength } of arrays) {
        const bytes = new Uint8Array(buffer, byteOffset, byteLength);
        await streams.write(buffer instanceof ArrayBuffer ? bytes : bytes.slice());
      }
    };
    writing = writing.then(write);
    return writing;
  };

  const call = (id: number, values: readonly unknown[], keep: boolean): Promise<unknown> =>
    new Promise<unknown>((resolve, reject) => {
      if (ended) return reject(ended);
      const exported: number[] = [];
      const drop = () => keep || exported.forEach((one) => own.delete(one));
      const number = state.id++;
      waiting.set(number, {
        resolve: (value) => (drop(), resolve(value)),
        reject: (error) => (drop(), reject(error)),
      });
      try {
        send({ call: number, to: id, values }, exported).catch(fail);
      } catch (error) {
        waiting.delete(number);
        drop();
        return reject(error instanceof Error ? error : new Error(String(error)));
      }
      if (!state.pumping) pump(() => waiting.size > 0).catch(fail);
    });

  const remote = (id: number): Callable => {
    const callable: Callable = (...values) => call(id, values, false);
    remotes.set(callable, id);
    return callable;
  };

  const decode = (text: Uint8Array, bytes: Bytes): Record<string, unknown> | null => {
    const revive = (_key: string, value: unknown): unknown => {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, "$kv")) return value;
      const { $kv } = value as { $kv: unknown };
      const [kind, at, length = 0] = Array.isArray($kv) ? $kv : [];
      if (kind === "mine") return remote(Number(at));
      if (kind === "yours") return own.get(Number(at));
      const array = Object.hasOwn(KINDS, kind) ? KINDS[kind as Kind] : undefined;
      if (array === undefined) throw new Error(`it sends an array of an unknown kind`);
      const end = Number(at) + Number(length) * array.BYTES_PER_ELEMENT;
      if (!(Number(at) >= 0 && end <= bytes.length)) throw new Error("it sends a broken array");
      const all = Number(at) === 0 && end === bytes.length;
      return new array(all ? bytes.buffer : bytes.slice(Number(at), end).buffer);
    };
    return JSON.parse(new TextDecoder().decode(text), revive);
  };

  const answer = async (number: number, to: number, values: readonly unknown[]): Promise<void> => {
    state.served++;
    try {
      const callable = own.get(to);
      if (callable === undefined) throw new Error("what is called is not there any more");
      await send({ reply: number, value: await callable(...values) });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      const message = String(error.message).slice(0, LIMITS.text);
      await send({ reply: number, error: [String(error.name).slice(0, 100), message] });
    } finally {
      state.served--;
    }
  };

  const receive = async (): Promise<void> => {
    const head = await streams.read(8);
    const sizes = new DataView(head.buffer, head.byteOffset, 8);
    const [json, bytes] = [sizes.getUint32(0, true), sizes.getUint32(4, true)];
    if (json > LIMITS.json || bytes > LIMITS.bytes) {
      throw new Error("it writes to its standard output, which carries its answers");
    }
    const text = await streams.read(json);
    const numbers = await streams.read(bytes);
    const message = decode(text, numbers);
    if (typeof message !== "object" || message === null) throw new Error("it sends no message");
    if (typeof message.print === "string") streams.onPrint(message.print);
    else if (typeof message.call === "number") {
      if (state.served >= LIMITS.calls) throw new Error("it asks for too much at the same time");
      const values = Array.isArray(message.values) ? message.values : [];
      answer(message.call, Number(message.to), values).catch(fail);
    } else {
      const open = waiting.get(Number(message.reply));
      if (open === undefined) throw new Error("it gives an answer that nobody asked for");
      waiting.delete(Number(message.reply));
      const { error } = message;
      if (!Array.isArray(error)) open.resolve(message.value);
      else open.reject(streams.errorOf(String(error[0]), String(error[1]).slice(0, LIMITS.text)));
    }
  };

  const pump = async (goesOn: () => boolean): Promise<void> => {
    state.pumping = true;
    try {
      while (goesOn()) await receive();
    } finally {
      state.pumping = false;
    }
  };

  const fail = (thrown: unknown): void => {
    end(thrown instanceof Error ? thrown : new Error(String(thrown)));
  };
  const end = (reason: Error): void => {
    if (ended === undefined) streams.onEnd(reason);
    ended ??= reason;
    const open = [...waiting.values()];
    waiting.clear();
    own.clear();
    for (const { reject } of open) reject(ended);
  };

  return {
    expose: (id, callable) => void own.set(id, callable),
    remote,
    callKeeping: (id, values) => call(id, values, true),
    serve: () => pump(() => true),
    print: (text) => void send({ print: text.slice(0, LIMITS.text) }).catch(() => {}),
    end,
  };
}
