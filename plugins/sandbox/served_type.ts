import { listModules } from "./list_modules.ts";

/** Types that Deno reads as what they say. */
const MODULE_TYPE =
  /^((text|application)\/(x-)?(java|type|ecma)script|text\/(jsx|tsx)|video\/(mp2t|vnd\.dlna\.mpeg-tts)|application\/(node|json|wasm))$/;

/** Types for which Deno goes by the end of the address. */
const PLAIN_TYPE = /^(text\/plain|application\/octet-stream|)$/;

/** Milliseconds for asking a host. */
const PATIENCE = 5_000;

/**
 * Why a plugin cannot be imported, if the host of one of its modules calls that something else than a
 * script: Deno then reads TypeScript as JavaScript, and imports it from no other module.
 *
 * @param message Deno's words.
 * @returns `undefined` if that is not the reason, or nobody may ask.
 */
export async function servedAsOther(url: URL, message: string): Promise<string | undefined> {
  for (const place of await suspects(url, message)) {
    const type = await typeOf(place);
    if (type === undefined || MODULE_TYPE.test(type)) continue;
    if (PLAIN_TYPE.test(type) && /\.[cm]?[jt]sx?$/i.test(place.pathname)) continue;
    const called = type === "" ? "without a content type" : `as '${type}'`;
    return `its host serves ${place.href} ${called}, which is no type of scripts; have it served as ` +
      "'application/typescript', or download it and give its path";
  }
  return undefined;
}

/** Modules that may be the reason: the one that does not parse, or those that Deno has no name for. */
async function suspects(url: URL, message: string): Promise<readonly URL[]> {
  if (/SyntaxError|could not be parsed/.test(message)) {
    const place = /(https?:\/\/\S+?):\d+:\d+/.exec(message)?.[1] ?? url.href;
    return URL.canParse(place) ? [new URL(place)] : [];
  }
  if (!/Unknown module/.test(message)) return [];
  const modules = await listModules(url).catch(() => []);
  return modules.filter(({ error }) => error !== undefined).map(({ specifier }) =>
    new URL(specifier)
  );
}

/** The content type that a host states; empty if it states none. */
async function typeOf(url: URL): Promise<string | undefined> {
  const { state } = Deno.permissions.querySync({ name: "net", host: url.host });
  if (state !== "granted" || !url.protocol.startsWith("http")) return undefined;
  try {
    const { headers, body } = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
    await body?.cancel();
    return (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  } catch {
    return undefined;
  }
}
