import { createHash } from "node:crypto";

/** A file that the hub of a test serves. */
export interface ServedFile {
  readonly path: string;
  readonly content: Uint8Array<ArrayBuffer>;
  /** Kept in large file storage, so listed with its SHA-256. @default {true} */
  readonly large?: boolean;
}

/** A hub on the loopback whose behaviour can be changed between requests. */
export interface TestHub extends AsyncDisposable {
  readonly endpoint: string;
  /** `METHOD path` and the Range header of every request so far. */
  readonly requests: { path: string; range: string | null; token: string | null }[];
  /** Answers every request with this status. */
  status: number | undefined;
  /** Cuts the connection after so many bytes of a body, as often as there are entries. */
  cuts: number[];
  /** Sends the bytes up to here and then nothing, without ending. */
  stallAfter: number | undefined;
  ignoreRanges: boolean;
  commit: string;
  files: ServedFile[];
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

const gitSha1 = (content: Uint8Array) =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

/** Bytes that differ everywhere, so that a misplaced piece shows. */
export function testBytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = (state * 48271) % 2147483647) & 0xff);
}

/** Serves repository `ada/tiny` in the form of the Hugging Face hub. */
export function startHub(files: ServedFile[]): TestHub {
  const stalled = new AbortController();
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, answer);
  const hub: TestHub = {
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    requests: [],
    status: undefined,
    cuts: [],
    stallAfter: undefined,
    ignoreRanges: false,
    commit: COMMIT,
    files,
    async [Symbol.asyncDispose]() {
      stalled.abort();
      await server.shutdown();
    },
  };

  function answer(request: Request): Response {
    const { pathname } = new URL(request.url);
    const range = request.headers.get("Range");
    hub.requests.push({ path: pathname, range, token: request.headers.get("Authorization") });
    if (hub.status !== undefined) {
      return Response.json({ error: "no" }, { status: hub.status });
    }
    if (pathname.startsWith("/api/models/ada/tiny/revision/")) {
      const lastModified = "2026-01-01T00:00:00.000Z";
      return Response.json({ _id: "1", id: "ada/tiny", sha: hub.commit, lastModified });
    }
    if (pathname.startsWith(`/api/models/ada/tiny/tree/${hub.commit}`)) {
      return Response.json(hub.files.map(listEntry));
    }
    const path = pathname.match(/^\/ada\/tiny\/resolve\/([0-9a-f]+)\/(.*)$/)?.[2];
    const file = hub.files.find((file) => file.path === decodeURIComponent(path ?? ""));
    return file === undefined ? new Response("", { status: 404 }) : send(file.content, range);
  }

  function send(content: Uint8Array<ArrayBuffer>, range: string | null): Response {
    const start = hub.ignoreRanges ? 0 : Number(range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
    const body = content.subarray(start);
    const partial = start > 0;
    const headers = {
      "Content-Length": String(body.length),
      ...(partial
        ? { "Content-Range": `bytes ${start}-${content.length - 1}/${content.length}` }
        : {}),
    };
    return new Response(piecewise(body), { status: partial ? 206 : 200, headers });
  }

  function piecewise(body: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
    const stop = hub.cuts.shift() ?? hub.stallAfter ?? body.length;
    let sent = 0;
    return new ReadableStream({
      async pull(controller) {
        if (sent < Math.min(stop, body.length)) {
          const end = Math.min(sent + 1000, stop, body.length);
          controller.enqueue(body.subarray(sent, end));
          sent = end;
        } else if (hub.stallAfter !== undefined) {
          await new Promise((resolve) => stalled.signal.addEventListener("abort", resolve));
          controller.close();
        } else {
          // Fewer bytes than the Content-Length: the server breaks the connection.
          controller.close();
        }
      },
    });
  }

  return hub;
}

function listEntry({ path, content, large = true }: ServedFile) {
  const entry = { type: "file", path, size: content.length, oid: gitSha1(content) };
  if (!large) return entry;
  return { ...entry, lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } };
}
