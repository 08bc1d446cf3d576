/** What a load consists of. */
export interface LoadOptions {
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  readonly apiKey?: string;
  /** The text that prompts are cut from. */
  readonly text: string;
  /** Tokens of an answer. */
  readonly maxTokens: number;
  /** Numbers from 0 to 1. */
  readonly random: () => number;
  /** Milliseconds. */
  readonly now: () => number;
  /** Whether it may end before its time. @default {never} */
  readonly enough?: (result: LoadResult) => boolean;
}

/** What came of it, in milliseconds. */
export interface LoadResult {
  /** Until the first token of each answer. */
  readonly first: readonly number[];
  /** Between two tokens. */
  readonly between: readonly number[];
  readonly answered: number;
  /** Refused with 503, and asked again when the server said. */
  readonly refused: number;
  /** Left in the middle by the client. */
  readonly left: number;
  readonly tokens: number;
  /** Anything else: there must be none. */
  readonly errors: readonly string[];
}

/** Share of the clients' requests that they leave in the middle. */
const LEAVING = 0.1;
/** Policies that requests ask for; the last one asks for none. */
const EVICTIONS: readonly object[] = [
  { eviction: { policy: "snapkv", budget: 64 } },
  { eviction: { policy: "streaming_llm", budget: "50%" } },
  { eviction: false },
];

/** Asks as many clients would, one request after the other each, until the time is up. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { clients, seconds, enough = () => false } = options;
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), seconds * 1000);
  const result = {
    first: [] as number[],
    between: [] as number[],
    answered: 0,
    refused: 0,
    left: 0,
    tokens: 0,
    errors: [] as string[],
  };
  const client = async () => {
    while (!over.signal.aborted) {
      try {
        await ask(options, result, over.signal);
        if (enough(result)) over.abort();
      } catch (error) {
        // Who still waits when the time is up leaves.
        if (over.signal.aborted) return;
        result.errors.push(error instanceof Error ? error.message : String(error));
        if (result.errors.length > 100) return;
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  clearTimeout(timer);
  return result;
}

type Tally = { -readonly [Name in keyof LoadResult]: LoadResult[Name] } & {
  readonly first: number[];
  readonly between: number[];
};

async function ask(options: LoadOptions, tally: Tally, over: AbortSignal): Promise<void> {
  const { url, random, now, apiKey } = options;
  const begun = now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    },
    body: JSON.stringify(bodyOf(options)),
    signal: over,
  });
  if (response.status === 503) {
    await response.body?.cancel();
    tally.refused++;
    const wait = Number(response.headers.get("retry-after") ?? 1) * 1000;
    return await pause(wait, over);
  }
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const leaveAfter = random() < LEAVING ? Math.ceil(random() * options.maxTokens) : Infinity;
  let last: number | undefined;
  let tokens = 0;
  for await (const event of eventsOf(response)) {
    if (event === "[DONE]") break;
    const { error, choices: [choice] = [] } = readChunk(event);
    if (error) throw new Error(error.message);
    if (!choice?.delta.content) continue;
    const at = now();
    if (last === undefined) tally.first.push(at - begun);
    else tally.between.push(at - last);
    last = at;
    tokens++;
    tally.tokens++;
    if (tokens >= leaveAfter) {
      // Ending the iteration ends the connection.
      tally.left++;
      return;
    }
  }
  tally.answered++;
}

/** Prompts that begin alike more often than not, as those about one document do. */
function bodyOf({ text, maxTokens, random }: LoadOptions): object {
  const start = random() < 0.7 ? 0 : Math.floor(random() * text.length / 2);
  const length = 50 + Math.floor(random() ** 3 * 3000);
  const eviction = EVICTIONS[Math.floor(random() * EVICTIONS.length)] ?? {};
  return {
    messages: [{ role: "user", content: `${text.slice(start, start + length)}\n\nWho is it?` }],
    max_tokens: maxTokens,
    stream: true,
    temperature: random() < 0.5 ? 0 : 1,
    ...eviction,
  };
}

interface Chunk {
  readonly error?: { readonly message: string };
  readonly choices?: readonly { readonly delta: { readonly content?: string } }[];
}

function readChunk(event: string): Chunk {
  return JSON.parse(event);
}

/** The data of server-sent events as they come. */
async function* eventsOf({ body }: Response): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice("data: ".length);
  }
}

async function pause(time: number, over: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => resolve(), time);
    over.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
