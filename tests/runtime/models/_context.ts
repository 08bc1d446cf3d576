import type { FetchContext } from "../../../runtime/models/fetch_context.ts";

/** A folder that is gone afterwards. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "kvjudge-test-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** A context that meets no real network, environment, program or wait. */
export function testContext(
  home: string,
  variables: Readonly<Record<string, string>>,
  given: Partial<FetchContext> = {},
): FetchContext {
  return {
    home,
    signal: new AbortController().signal,
    environment: (name) => variables[name],
    fetch,
    run: () => Promise.resolve(undefined),
    platform: "linux",
    sleep: () => new Promise((resolve) => setTimeout(resolve, 1)),
    onProgress: () => {},
    offline: false,
    patience: 5_000,
    stall: 5_000,
    ...given,
  };
}

/** An address where nobody listens. */
export function closedEndpoint(): string {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  return `http://127.0.0.1:${port}`;
}

/** Names of all files below a folder. */
export function filesBelow(folder: string): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...filesBelow(path).map((name) => `${entry.name}/${name}`));
    else found.push(entry.name);
  }
  return found.sort();
}
