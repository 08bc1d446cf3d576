import { fileURLToPath } from "node:url";

/** One import of one module. */
export interface Arrow {
  /** Importing file, relative to the root. */
  readonly from: string;
  /** Imported file relative to the root, or its whole address if it lies elsewhere. */
  readonly to: string;
  /** As it stands in the code. */
  readonly specifier: string;
}

interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
    readonly isDynamic?: boolean;
  }[];
}

/** The repository's root. */
export const ROOT = new URL("../", import.meta.url);

const SKIPPED = new Set(["node_modules", "coverage", "fixtures"]);

/** Every TypeScript file below a folder, relative to the root, sorted. */
export function sourceFiles(folder = ""): readonly string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))]
    .filter(({ name }) => !name.startsWith(".") && !SKIPPED.has(name))
    .flatMap(({ name, isDirectory }) => {
      if (isDirectory) return sourceFiles(`${folder}${name}/`);
      return name.endsWith(".ts") ? [`${folder}${name}`] : [];
    })
    .sort();
}

/** Text of a file. */
export function source(file: string): string {
  return Deno.readTextFileSync(new URL(file, ROOT));
}

/** Every import of the files and of what they reach, dynamic and type-only ones included. */
export async function importArrows(files: readonly string[]): Promise<readonly Arrow[]> {
  const modules = await moduleGraph(files);
  return modules.filter(({ specifier }) => specifier.startsWith(ROOT.href)).flatMap(arrowsOf);
}

/** Every module that importing the file loads at once, itself included. */
export async function loadedModules(file: string): Promise<ReadonlySet<string>> {
  const modules = new Map((await moduleGraph([file])).map((module) => [module.specifier, module]));
  const loaded = new Set<string>();
  const load = (address: string) => {
    const known = loaded.size;
    if (loaded.add(relative(address)).size === known) return;
    for (const { code, isDynamic } of modules.get(address)?.dependencies ?? []) {
      if (code?.specifier !== undefined && !isDynamic) load(code.specifier);
    }
  };
  load(new URL(file, ROOT).href);
  return loaded;
}

async function moduleGraph(files: readonly string[]): Promise<readonly ModuleInfo[]> {
  const entry = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    const lines = files.map((file) => `import ${JSON.stringify(new URL(file, ROOT).href)};`);
    Deno.writeTextFileSync(entry, lines.join("\n"));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", fileURLToPath(new URL("deno.json", ROOT)), entry],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const { modules }: { modules: readonly ModuleInfo[] } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    return modules;
  } finally {
    Deno.removeSync(entry);
  }
}

function arrowsOf({ specifier: from, dependencies = [] }: ModuleInfo): readonly Arrow[] {
  return dependencies.map(({ specifier, code, type }) => ({
    from: relative(from),
    to: relative(code?.specifier ?? type?.specifier ?? specifier),
    specifier,
  }));
}

function relative(address: string): string {
  return address.startsWith(ROOT.href) ? address.slice(ROOT.href.length) : address;
}
