/** What `deno info --json` says of modules and packages. */
export interface DenoInfo {
  readonly roots: readonly string[];
  readonly redirects?: Readonly<Record<string, string>>;
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: { readonly specifier?: string };
      readonly isDynamic?: boolean;
      readonly npmPackage?: string;
    }[];
  }[];
  readonly npmPackages: Readonly<
    Record<string, { readonly dependencies: readonly string[]; readonly localPath?: string }>
  >;
}

/** Folders of the packages that are loaded with the modules, not those that are imported when needed. */
export function neededPackages(info: DenoInfo): string[] {
  const modules = new Map(info.modules.map((module) => [module.specifier, module]));
  const needed = new Set<string>();
  const add = (name: string) => {
    if (needed.has(name)) return;
    needed.add(name);
    info.npmPackages[name]?.dependencies.forEach(add);
  };
  const seen = new Set<string>();
  const queue = [...info.roots];
  for (let specifier = queue.pop(); specifier !== undefined; specifier = queue.pop()) {
    const found = info.redirects?.[specifier] ?? specifier;
    if (seen.has(found)) continue;
    seen.add(found);
    for (const { code, isDynamic, npmPackage } of modules.get(found)?.dependencies ?? []) {
      if (isDynamic || !code?.specifier) continue;
      if (npmPackage === undefined) queue.push(code.specifier);
      else add(npmPackage);
    }
  }
  return [...needed].sort();
}
