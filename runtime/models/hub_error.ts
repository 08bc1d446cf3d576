import { FetchError } from "../errors.ts";

/** One source of a model cannot give it; another one may. */
export class SourceError extends FetchError {
  /** What went wrong, for a sentence about several sources. */
  readonly reason: string;

  /** Makes the sentence "Cannot fetch *what*: *reason*; *advice*". */
  constructor(what: string, reason: string, advice: string, options?: ErrorOptions) {
    super(`Cannot fetch ${what}: ${reason}; ${advice}`, options);
    this.reason = reason;
  }
}

/** What an HTTP status of the hub means for the user. */
export function statusError(
  what: string,
  url: string,
  status: number,
  hasToken: boolean,
): SourceError {
  const reason = `${new URL(url).host} answered ${status}`;
  if (status === 404) {
    return new SourceError(what, reason, "check the name, the revision and the file");
  }
  if (status !== 401 && status !== 403) return new SourceError(what, reason, "try again later");
  const advice = hasToken
    ? "HF_TOKEN has no access to it: accept its terms on its page, or use another token"
    : "it is private, needs its terms accepted on its page, or does not exist: " +
      "set HF_TOKEN to a token with access, or check the name";
  return new SourceError(what, reason, advice);
}

/** Nobody answered, or the connection broke for good. */
export function unreachable(what: string, url: string, error: unknown): SourceError {
  return new SourceError(
    what,
    `${new URL(url).host} could not be reached (${cause(error)})`,
    "check the network, or set HF_ENDPOINT to a mirror",
    { cause: error },
  );
}

/** The innermost message: `fetch` wraps what really happened. */
function cause(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return cause(error.cause);
  return error.message.replace(/^error sending request for url \(\S*\): /, "");
}
