import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { type DenoInfo, neededPackages } from "./packages.ts";
import { output } from "./run_command.ts";

/** Modules that run on the machine. */
const ROOTS = [
  "cli.ts",
  "runtime/device/probe_here.ts",
  "scripts/gpu_check.ts",
  "scripts/gpu_check/one_section.ts",
  "scripts/gpu_check/option_trial.ts",
  "scripts/big_checkpoint.ts",
];

/** Tests that run there. */
const TESTS = ["tests/kernels/device", "tests/runtime/cache/device", "tests/runtime/engine/device"];

/** Tracked files that nothing there reads. */
const LEFT_OUT = /^(docs|examples|\.ci)\/|\.(md|svg)$/;

/** Builds of onnxruntime for other machines. */
const OTHER_BUILDS = ["darwin", "win32", "linux/arm64"];

/** Debian's packages of the Vulkan loader and of what drivers of GPUs lean on. */
const DEBIAN = [
  ...["libvulkan1", "libglvnd0", "libegl1", "libglx0", "libgl1", "libx11-6", "libxext6"],
  ...["libxcb1", "libxau6", "libxdmcp6", "libbsd0", "libmd0", "libdrm2", "libgbm1"],
  ...["libwayland-client0", "libwayland-server0", "libexpat1", "libffi8"],
];

/** Copies our own files. */
export async function stageSource(root: string, to: string): Promise<void> {
  const listed = await output("git", ["ls-files", "-co", "--exclude-standard"], { folder: root });
  for (const file of listed.split("\n")) {
    if (file === "" || LEFT_OUT.test(file)) continue;
    try {
      await Deno.mkdir(join(to, file, ".."), { recursive: true });
      await Deno.copyFile(join(root, file), join(to, file));
    } catch (error) {
      // A file that is deleted, but not committed yet.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Copies this Deno. */
export async function stageDeno(to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  await Deno.copyFile(Deno.execPath(), join(to, "deno"));
}

/** Copies the npm packages that are loaded there, each whole; of onnxruntime only what Linux loads. */
export async function stagePackages(root: string, to: string): Promise<void> {
  const tests = TESTS.flatMap((folder) =>
    [...Deno.readDirSync(join(root, folder))]
      .filter(({ name }) => name.endsWith("_test.ts"))
      .map(({ name }) => `${folder}/${name}`)
  );
  const needed = new Set<string>();
  for (const module of [...ROOTS, ...tests]) {
    const text = await output(Deno.execPath(), ["info", "--json", module], { folder: root });
    const info: DenoInfo = JSON.parse(text);
    for (const name of neededPackages(info)) {
      const path = info.npmPackages[name]?.localPath;
      const found = path && /^.*\/node_modules\/\.deno\/[^/]+/.exec(path)?.[0];
      if (found) needed.add(found);
    }
  }
  const store = join(to, ".deno");
  await Deno.mkdir(store, { recursive: true });
  for (const folder of needed) await output("cp", ["-a", folder, store]);
  for (const { name } of Deno.readDirSync(store)) {
    if (!name.startsWith("onnxruntime-node@")) continue;
    const builds = join(store, name, "node_modules/onnxruntime-node/bin/napi-v6");
    for (const other of OTHER_BUILDS) await Deno.remove(join(builds, other), { recursive: true });
  }
  await linkPackages(to);
}

/** Makes the packages visible by their names, as package managers do. */
async function linkPackages(to: string): Promise<void> {
  for (const { name } of Deno.readDirSync(join(to, ".deno"))) {
    const bare = name.replace(/(?<=.)@[^@]*$/, "").replace("+", "/");
    const link = join(to, bare);
    await Deno.mkdir(join(link, ".."), { recursive: true });
    const up = bare.includes("/") ? "../" : "";
    await Deno.symlink(`${up}.deno/${name}/node_modules/${bare}`, link);
  }
}

/**
 * Unpacks Debian packages that were downloaded into a folder; downloads them where none are there.
 *
 * @returns Whether there are any.
 */
export async function stageLibraries(downloads: string, to: string): Promise<boolean> {
  await Deno.mkdir(downloads, { recursive: true });
  const packages = () => [...Deno.readDirSync(downloads)].filter(({ name }) => /\.deb$/.test(name));
  if (packages().length === 0) {
    try {
      await output("apt-get", ["download", ...DEBIAN], { folder: downloads });
    } catch (error) {
      console.error(
        `No Vulkan loader goes with it: ${error instanceof Error ? error.message : error}`,
      );
      return false;
    }
  }
  await Deno.mkdir(to, { recursive: true });
  const unpacked = await Deno.makeTempDir();
  for (const { name } of packages()) {
    await output("dpkg-deb", ["-x", join(downloads, name), unpacked]);
  }
  const libraries = await output("find", [
    unpacked,
    "-name",
    "*.so*",
    "(",
    "-type",
    "f",
    "-o",
    "-type",
    "l",
    ")",
  ]);
  for (const path of libraries.split("\n").filter((line) => line !== "")) {
    await output("cp", ["-a", path, to]);
  }
  await Deno.remove(unpacked, { recursive: true });
  return true;
}

/**
 * Packs a folder with xz. What was packed before is taken from the cache.
 *
 * @returns The path of the packed file.
 */
export async function pack(folder: string, cache: string, level = "-9"): Promise<string> {
  await Deno.mkdir(cache, { recursive: true });
  const tar = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  const plain = join(cache, `${basename(folder)}.tar`);
  await output("tar", [...tar, "-cf", plain, "-C", folder, "."]);
  const hash = createHash("sha256");
  using file = await Deno.open(plain);
  for await (const bytes of file.readable) hash.update(bytes);
  const packed = join(cache, `${basename(folder)}-${hash.digest("hex").slice(0, 16)}.tar.xz`);
  try {
    await Deno.stat(packed);
  } catch {
    await output("sh", ["-c", `xz -T2 ${level} -c "$1" > "$2.partial"`, "sh", plain, packed]);
    await Deno.rename(`${packed}.partial`, packed);
  }
  await Deno.remove(plain);
  return packed;
}
