import { PolicyError } from "../../runtime/errors.ts";

/** Hosts that Deno imports from unless told otherwise. */
const PUBLIC_HOSTS = [
  "deno.land:443",
  "jsr.io:443",
  "esm.sh:443",
  "raw.githubusercontent.com:443",
  "gist.githubusercontent.com:443",
];

/** Flags that leave nothing of the user's project to be found. */
const OWN_FLAGS = ["--quiet", "--no-config", "--no-lock", "--node-modules-dir=none"];

/** Variables that a process needs to find Deno's cache and its libraries. */
const NEEDED = [
  ...["HOME", "DENO_DIR", "XDG_CACHE_HOME", "PATH", "LD_LIBRARY_PATH", "TMPDIR"],
  ...["USERPROFILE", "LOCALAPPDATA", "SystemRoot", "TEMP", "TMP"],
];

/**
 * Most blocks of 512 bytes in a file that a sandbox writes, which is Deno's own cache: that grows with
 * all that ever ran on a machine.
 */
const FILE_BLOCKS = 1 << 22;

/** For a process that loops while its parent is killed: nobody else would end it. */
const CPU_SECONDS = 24 * 60 * 60;

/** Bytes that Deno takes for itself. */
const OWN_BYTES = 640 * 2 ** 20;

/** Flags of both steps: what a plugin may import comes from its own host or a public one. */
function flagsFor(url: URL): readonly string[] {
  const port = url.port === "" ? { "http:": "80", "https:": "443" }[url.protocol] : url.port;
  // A file has no host.
  const own = url.hostname === "" ? [] : [`${url.hostname}:${port}`];
  const hosts = [...own, ...PUBLIC_HOSTS];
  return [...OWN_FLAGS, "--no-npm", `--allow-import=${hosts.join(",")}`];
}

/** How a plugin is fetched. */
export interface Fetching {
  /** Fetch it again, although it lies in Deno's cache. */
  readonly reload: boolean;
  /** It may import from every host, and packages of npm. */
  readonly trust?: boolean;
}

/** A command that fetches a plugin and what it imports into Deno's cache, and runs none of it. */
export function fetchingCommand(
  url: URL,
  signal: AbortSignal,
  { reload, trust = false }: Fetching,
): Deno.Command {
  const flags = trust ? [...OWN_FLAGS, "--allow-import"] : flagsFor(url);
  return new Deno.Command(denoProgram(), {
    args: ["cache", ...flags, ...reload ? ["--reload"] : [], url.href],
    env: { NO_COLOR: "1" },
    signal,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
}

/** A command that tells, as JSON, which modules a plugin consists of. */
export function listingCommand(url: URL, signal: AbortSignal): Deno.Command {
  return new Deno.Command(denoProgram(), {
    args: ["info", "--json", ...flagsFor(url), url.href],
    env: { NO_COLOR: "1" },
    signal,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
}

/** What a program in a sandbox gets. */
export interface LockedProgram {
  /** JavaScript that needs no import. */
  readonly program: string;
  /** Bytes of memory that it may take; held to on Linux, elsewhere only for JavaScript's heap. */
  readonly memory: number;
  /** Files that it may read: those that the plugin consists of, where it is one of this machine. */
  readonly files: readonly string[];
}

/**
 * A command that runs a program without any permission but to read the plugin's own files, with modules
 * from Deno's cache alone: what is not there cannot be imported, so that an import reaches no network
 * either.
 */
export function lockedCommand(url: URL, { program, memory, files }: LockedProgram): Deno.Command {
  const heap = Math.ceil(memory / 2 ** 20);
  const args = [
    ...["run", ...flagsFor(url), "--no-prompt", "--cached-only", "--no-code-cache"],
    `--v8-flags=--max-old-space-size=${heap}`,
    ...files.length === 0 ? [] : [`--allow-read=${files.join(",")}`],
    `data:text/javascript,${encodeURIComponent(program)}`,
  ];
  const deno = denoProgram();
  const env = neededVariables();
  const options: Deno.CommandOptions = {
    ...env ? { env, clearEnv: true } : {},
    ...Deno.build.os === "windows" ? {} : { cwd: "/" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  };
  if (Deno.build.os !== "linux" || !mayRun("sh")) {
    return new Deno.Command(deno, { ...options, args });
  }
  const bytes = Math.ceil((memory + OWN_BYTES) / 2 ** 10);
  const limits =
    `ulimit -d ${bytes}; ulimit -f ${FILE_BLOCKS}; ulimit -t ${CPU_SECONDS}; ulimit -c 0`;
  const shell = `(${limits}) 2>/dev/null && { ${limits}; }; exec "$0" "$@"`;
  return new Deno.Command("sh", { ...options, args: ["-c", shell, deno, ...args] });
}

/** The program that runs us, unless we are compiled into a program of our own. */
function denoProgram(): string {
  return Deno.build.standalone ? "deno" : Deno.execPath();
}

function mayRun(command: string): boolean {
  return Deno.permissions.querySync({ name: "run", command }).state === "granted";
}

/** `undefined` if we may not read them: then Deno keeps them from the plugin all the same. */
function neededVariables(): Record<string, string> | undefined {
  const variables: Record<string, string> = {};
  for (const name of NEEDED) {
    if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") return;
    const value = Deno.env.get(name);
    if (value !== undefined) variables[name] = value;
  }
  return variables;
}

/**
 * Starts a program.
 *
 * @throws {PolicyError} If it cannot be started.
 */
export function started<T>(start: () => T, url: URL): T {
  try {
    return start();
  } catch (error) {
    throw startProblem(error, url);
  }
}

function startProblem(error: unknown, url: URL): PolicyError {
  const reason = error instanceof Deno.errors.NotCapable
    ? "a sandbox is a process of its own; allow it with --allow-run"
    : error instanceof Deno.errors.NotFound
    ? "a sandbox needs the program 'deno'; put it on the PATH"
    : `its sandbox does not start: ${error instanceof Error ? error.message : error}`;
  return new PolicyError(
    `Cannot run the policy ${url.href}: ${reason}, or trust the policy if you know its author`,
    { cause: error },
  );
}
