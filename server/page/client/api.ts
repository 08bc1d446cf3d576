/** What a page asks of the server that it came from. */
export interface Api {
  /** The key that requests carry; empty: none. */
  key: string;
  json<T>(path: string, body?: object, signal?: AbortSignal): Promise<T>;
  remove(path: string): Promise<void>;
  /** Each record of a stream of server-sent events. */
  events(path: string, body: object, signal: AbortSignal): AsyncGenerator<StreamPart, void>;
}

/** A record of a stream; which fields it has depends on what was asked. */
export interface StreamPart {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly prompt_progress?: { readonly total: number; readonly processed: number };
  readonly progress?: { readonly done: number; readonly total: number };
  readonly usage?: Usage | null;
  readonly kvjudge?: Report;
  readonly timings?: { readonly predicted_per_second: number };
  readonly error?: { readonly message?: string };
  readonly id?: string;
  readonly object?: string;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
}

/** What happened to the cache. */
export interface Report {
  readonly policy: string;
  readonly kept: number;
  readonly bytes_before: number;
  readonly bytes_after: number;
  readonly notes?: readonly string[];
  readonly tokens?: readonly KeptToken[];
}

/** A document that the server keeps. */
export interface StoredDocument {
  readonly id: string;
  readonly name: string | null;
  readonly model: string;
  readonly form: "chat" | "text";
  readonly tokens: number;
  readonly policy: string;
  readonly kept: number;
  readonly bytes_after: number;
  readonly stored: boolean;
  /** Unix time in seconds. */
  readonly created: number;
}

export interface KeptToken {
  readonly text: string;
  /** The share of layers and KV heads that kept it. */
  readonly kept: number;
}

/** A failure that the server told of. */
export class ApiError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

export function createApi(): Api {
  const ask = async (path: string, options: RequestInit): Promise<Response> => {
    const headers = new Headers(options.headers);
    if (api.key !== "") headers.set("authorization", `Bearer ${api.key}`);
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    const text = await response.text();
    throw new ApiError(response.status, messageOf(text) ?? `The server said ${response.status}`);
  };
  const posted = (body: object): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const api: Api = {
    key: "",
    async json(path, body, signal) {
      const options = { ...(body ? posted(body) : {}), ...(signal ? { signal } : {}) };
      return await (await ask(path, options)).json();
    },
    async remove(path) {
      await ask(path, { method: "DELETE" });
    },
    async *events(path, body, signal) {
      const { body: stream } = await ask(path, { ...posted(body), signal });
      if (!stream) return;
      let rest = "";
      const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          const data = line.startsWith("data: ") ? line.slice(6) : "";
          if (data === "" || data === "[DONE]") continue;
          const part: StreamPart = JSON.parse(data);
          if (part.error) throw new ApiError(500, part.error.message ?? "The stream broke off");
          yield part;
        }
      }
    },
  };
  return api;
}

function messageOf(text: string): string | undefined {
  try {
    return JSON.parse(text)?.error?.message;
  } catch {
    return undefined;
  }
}
