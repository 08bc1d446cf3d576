import { suggest } from "../policies/_suggest.ts";
import { findPolicy } from "../policies/create.ts";
import { OptionError, type Policy } from "../policies/policy.ts";
import { parseExpression, type PolicyExpression } from "./expression.ts";
import { importPlugin } from "./import_plugin.ts";
import type { PolicyFactory } from "./plugin.ts";
import { fetchModules } from "./sandbox/fetch_modules.ts";
import { openSandbox } from "./sandbox/sandboxed_policy.ts";
import { policySource } from "./source.ts";
import { demandObject, demandText } from "../runtime/given.ts";

/** Options that a policy gets where it is given none, by the policy's name. */
export type PolicyDefaults = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** How policies are loaded. */
export interface LoadPolicyOptions {
  /** Options of a policy that is given without parentheses. */
  readonly options?: object;
  /** Run a policy from a URL in this process, with all its permissions. @default {false} */
  readonly trust?: boolean;
  /** Run files in a process without permissions too, as if they were a stranger's. @default {false} */
  readonly sandbox?: boolean;
  /** Fetch policies from URLs again, although Deno keeps what it fetched. @default {false} */
  readonly reload?: boolean;
  /** Milliseconds that a policy in a sandbox has for one answer. @default {20 seconds} */
  readonly timeLimit?: number;
  /** Bytes of memory that a policy in a sandbox may take. @default {2 GiB} */
  readonly memoryLimit?: number;
  /** Options where a policy is given none. */
  readonly defaults?: PolicyDefaults;
  /** Gets the lines that a policy in a sandbox prints. */
  readonly onPrint?: (line: string) => void;
}

/** A policy, and the processes that it runs in, to be closed when it is not needed any more. */
export interface LoadedPolicy extends AsyncDisposable {
  /** The policy; unusable once this is closed. */
  readonly policy: Policy;
}

const TIME_LIMIT = 20_000;
const MEMORY_LIMIT = 2 * 2 ** 30;

/**
 * Loads a policy by name, path or URL, or from an expression such as
 * `./mine.ts(snapkv(window=8),share=0.5)`.
 *
 * A file of the user's own is imported. A stranger's, given by `http:` or `https:` URL, runs in a
 * process without permissions: it sees the layers that it scores and gives scores, and can reach
 * neither files, variables, programs nor the network. `trust` imports it as well.
 *
 * @param source An expression, or the URL of a plugin.
 * @throws {OptionError} If there is no such policy, the expression is broken or an option is refused.
 * @throws {PolicyError} If a plugin cannot be loaded or gives no policy.
 *
 * @example
 * ```ts
 * import { loadPolicy } from "./load_policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * await using loaded = await loadPolicy("snapkv(window=8,pooling=avg)");
 * assertEquals(loaded.policy.options, { window: 8, kernel: 7, pooling: "avg" });
 * ```
 */
export async function loadPolicy(
  source: string | URL,
  options: LoadPolicyOptions = {},
): Promise<LoadedPolicy> {
  await using opened = new AsyncDisposableStack();
  const { create } = opened.use(await openPolicy(source, options));
  const policy = await create();
  const kept = opened.move();
  return { policy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The factory of a policy, and the processes that it runs in. */
export interface OpenedPolicy extends AsyncDisposable {
  /** Makes the policy, with further options if wanted. */
  readonly create: PolicyFactory;
}

/**
 * Finds what {@linkcode loadPolicy} makes a policy with.
 *
 * @throws {OptionError} If there is no such policy, or the expression is broken.
 * @throws {PolicyError} If a plugin cannot be loaded.
 *
 * @example
 * ```ts
 * import { openPolicy } from "./load_policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * await using opened = await openPolicy("snapkv(window=8)");
 * const { options } = await opened.create({ kernel: 5 });
 * assertEquals(options, { window: 8, kernel: 5, pooling: "max" });
 * ```
 */
export async function openPolicy(
  source: string | URL,
  settings: LoadPolicyOptions = {},
): Promise<OpenedPolicy> {
  if (!(source instanceof URL)) {
    demandText("load a policy", "what is loaded", source, "a name, a path, a URL or an expression");
  }
  demandObject("load a policy", "its options", settings);
  if (settings.options !== undefined) {
    demandObject("load a policy", "'options'", settings.options);
  }
  const expression = source instanceof URL
    ? { text: source.href, source: source.href, options: {}, called: false }
    : parseExpression(source);
  if (settings.options !== undefined && expression.called) {
    throw new OptionError(
      `Cannot give options to '${expression.text}' twice: write them in its parentheses, or apart`,
    );
  }
  await using opened = new AsyncDisposableStack();
  const create = await open(
    { ...expression, options: settings.options ?? expression.options },
    settings,
    opened,
  );
  const kept = opened.move();
  return { create, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** A policy as it is written; its options may be any object. */
type Written = Omit<PolicyExpression, "options"> & { readonly options: object };

async function open(
  written: Written,
  settings: LoadPolicyOptions,
  opened: AsyncDisposableStack,
): Promise<PolicyFactory> {
  const { source, inner, second, options } = written;
  const create = await findFactory(written, settings, opened);
  const wrapped: Record<string, Policy> = {};
  for (const [name, expression] of Object.entries({ inner, second })) {
    if (!expression) continue;
    if (name in options) throw new OptionError(`Cannot give option '${name}' of '${source}' twice`);
    wrapped[name] = await (await open(expression, settings, opened))();
  }
  // What is no object of options is for the policy to refuse.
  return async (more) =>
    await create(Array.isArray(more) ? more : { ...options, ...wrapped, ...more });
}

async function findFactory(
  { source, inner, second, options }: Written,
  settings: LoadPolicyOptions,
  opened: AsyncDisposableStack,
): Promise<PolicyFactory> {
  const place = policySource(source);
  if (place === undefined) {
    throw new OptionError(
      `Cannot load a policy from '${source}': give a name, the path of a .ts or .js file, or a ` +
        "file:, http: or https: URL",
    );
  }
  if (place.kind === "name") {
    const found = findPolicy(place.name);
    const known = found.options.map(({ name }) => name);
    checkPlace(found.name, "inner", inner, known);
    checkPlace(found.name, "second", second, known);
    const { default: create } = await found.load();
    const given = inner !== undefined || Object.keys(options).length > 0;
    // Defaults and options may not go together.
    const defaults = given ? {} : settings.defaults?.[found.name];
    return async (own) => await create(Array.isArray(own) ? own : { ...defaults, ...own });
  }
  const own = place.kind === "file" && settings.sandbox !== true;
  const { trust = false, reload = false } = settings;
  if (own) return await importPlugin(place.url);
  if (trust) {
    if (reload) await fetchModules(place.url, { reload, trust });
    return await importPlugin(place.url);
  }
  const { timeLimit = TIME_LIMIT, memoryLimit = MEMORY_LIMIT, onPrint = () => {} } = settings;
  const plugin = await openSandbox({
    url: place.url,
    reload,
    limits: { time: timeLimit, memory: memoryLimit },
    onPrint,
  });
  return opened.use(plugin).create;
}

/** A policy of the registry says whether it wraps another, or two. */
function checkPlace(
  name: string,
  place: "inner" | "second",
  expression: PolicyExpression | undefined,
  known: readonly string[],
): void {
  if (expression === undefined || known.includes(place)) return;
  throw new OptionError(
    `Cannot read ${JSON.stringify(expression.text)} as an option of '${name}': write name=value` +
      (known.length === 0 ? "; it takes no options" : suggest(expression.text, known)),
  );
}
