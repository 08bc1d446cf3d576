/** Files on the loopback, and what was asked for. */
export interface ModuleServer extends AsyncDisposable {
  /** Address of a file. */
  url(path: string): string;
  /** Paths of all requests, in order. */
  readonly requests: readonly string[];
}

/**
 * Serves files by path; a path that is not there is a 404.
 *
 * A folder of its own keeps Deno from finding what an earlier server had on the same port in its cache.
 *
 * @param types Content types by path, where they are not those of scripts.
 */
export function serveModules(
  files: Readonly<Record<string, string>>,
  types: Readonly<Record<string, string>> = {},
): ModuleServer {
  const requests: string[] = [];
  const folder = `/${crypto.randomUUID()}/`;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    const path = pathname.startsWith(folder) ? pathname.slice(folder.length) : pathname;
    requests.push(path);
    const text = files[path];
    if (text === undefined) return new Response("not here", { status: 404 });
    const type = types[path] ??
      (path.endsWith(".js") ? "text/javascript" : "application/typescript");
    return new Response(text, { headers: { "content-type": type } });
  });
  return {
    url: (path) => `http://127.0.0.1:${server.addr.port}${folder}${path}`,
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
