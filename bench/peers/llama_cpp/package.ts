import { readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";

/** Version of `node-llama-cpp`, whose prebuilt binaries are used; `layout.ts` belongs to it. */
const VERSION = "3.22.1";

/** Platforms with a build for the processor alone. */
const PLATFORMS: readonly string[] = [
  "linux-x64",
  "linux-arm64",
  "mac-x64",
  "win-x64",
  "win-arm64",
];

/** The shared libraries of llama.cpp. */
export interface LibraryPaths {
  /** Folder of all, where the backends lie too. */
  readonly folder: string;
  readonly llama: string;
  readonly ggml: string;
  readonly ggmlBase: string;
}

/**
 * Fetches the prebuilt llama.cpp for this platform from npm, unless it is cached, and finds its
 * libraries. Only the package with the binaries is fetched, not the 700 MB of all that
 * `node-llama-cpp` offers.
 *
 * @throws {Error} If there is none for this platform, or it cannot be fetched.
 */
export async function fetchLlamaCpp(): Promise<LibraryPaths> {
  const platform = platformName();
  if (!PLATFORMS.includes(platform)) {
    throw new Error(`There is no prebuilt llama.cpp for ${platform}; known: ${PLATFORMS}.`);
  }
  // Not a literal, so that nothing is fetched before the bench runs.
  const specifier = `npm:@node-llama-cpp/${platform}@${VERSION}`;
  let root: string;
  try {
    const module: { getBinsDir(): { binsDir: string } } = await import(specifier);
    root = join(module.getBinsDir().binsDir, platform);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${specifier} could not be fetched: ${reason}`);
  }
  const files = await readdir(root);
  const find = (name: string) => {
    const pattern = new RegExp(`^(lib)?${name}(\\.v?[\\d.]+)?\\.(so|dylib|dll)$`);
    const file = files.find((file) => pattern.test(file));
    if (file === undefined) throw new Error(`${specifier} has no library '${name}'.`);
    return join(root, file);
  };
  return { folder: root, llama: find("llama"), ggml: find("ggml"), ggmlBase: find("ggml-base") };
}

function platformName(): string {
  const system = process.platform === "darwin"
    ? "mac"
    : process.platform === "win32"
    ? "win"
    : process.platform;
  return `${system}-${process.arch}`;
}
