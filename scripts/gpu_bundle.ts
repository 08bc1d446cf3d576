/**
 * Packs what a bare machine with a GPU lacks, to run `gpu_check.ts` there without a network: Deno,
 * onnxruntime, a Vulkan loader, our own files, and a model in parts of its own.
 *
 * @module
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  cutFile,
  type Manifest,
  manifestLines,
  type PartedFile,
  partSize,
} from "./gpu_bundle/parts.ts";
import { RUN } from "./gpu_bundle/run_script.ts";
import { output } from "./gpu_bundle/run_command.ts";
import { pack, stageDeno, stageLibraries, stagePackages, stageSource } from "./gpu_bundle/stage.ts";
import { UNPACK } from "./gpu_bundle/unpack_script.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

interface BundleOptions {
  readonly out: string;
  readonly bytes: number;
  readonly cache: string;
  readonly debs: string;
  readonly sourceOnly: boolean;
  readonly models: readonly string[];
}

async function bundle(options: BundleOptions): Promise<void> {
  const { out, bytes, cache, debs, sourceOnly, models } = options;
  const staged = await Deno.makeTempDir();
  const first = join(out, "runtime");
  await Deno.mkdir(first, { recursive: true });
  const manifestPath = join(first, "manifest.json");
  const before: Manifest = sourceOnly
    ? JSON.parse(await Deno.readTextFile(manifestPath))
    : { files: [] };
  const files = new Map<string, PartedFile>(before.files.map((file) => [file.name, file]));
  if (!sourceOnly) {
    await stageDeno(join(staged, "deno"));
    await stagePackages(root, join(staged, "packages"));
    const names = ["deno", "packages"];
    if (await stageLibraries(debs, join(staged, "libraries"))) names.push("libraries");
    await Deno.mkdir(join(staged, "runtime"));
    for (const name of names) {
      const packed = await pack(join(staged, name), cache);
      await Deno.copyFile(packed, join(staged, "runtime", `${name}.tar.xz`));
    }
    const tar = join(staged, "runtime.tar");
    await output("tar", ["-cf", tar, "-C", join(staged, "runtime"), "."]);
    files.set("runtime.tar", await cutFile(tar, { folder: first, name: "runtime.tar", bytes }));
    for (const model of models) {
      const name = model.split("/").at(-1) ?? model;
      files.set(name, await cutApart(model, { out, staged, name, bytes }));
    }
  }
  await stageSource(root, join(staged, "source"));
  const source = await pack(join(staged, "source"), join(staged, "packed"), "-3");
  const name = "source.tar.xz";
  files.set(name, await cutApart(source, { out, staged, name, bytes }));
  const manifest: Manifest = { files: [...files.values()] };
  await Deno.writeTextFile(manifestPath, JSON.stringify(manifest, null, 2));
  await Deno.writeTextFile(join(first, "parts.txt"), manifestLines(manifest));
  await Deno.writeTextFile(join(first, "unpack.sh"), UNPACK);
  await Deno.writeTextFile(join(first, "run.sh"), RUN);
  await Deno.remove(staged, { recursive: true });
  for (const { name, parts } of manifest.files) {
    const sizes = parts.map((part) => `${(part.bytes / 1e6).toFixed(1)} MB`).join(" + ");
    console.log(`${name}: ${sizes}`);
  }
}

/** Cuts a file into parts, each in a folder of its own, to be carried by itself. */
async function cutApart(
  path: string,
  { out, staged, name, bytes }: {
    readonly out: string;
    readonly staged: string;
    readonly name: string;
    readonly bytes: number;
  },
): Promise<PartedFile> {
  const parted = await cutFile(path, { folder: staged, name, bytes });
  for (const part of parted.parts) {
    await Deno.mkdir(join(out, part.name), { recursive: true });
    await Deno.copyFile(join(staged, part.name), join(out, part.name, part.name));
  }
  return parted;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: join(root, ".gpu") },
      "part-size": { type: "string", default: "45MB" },
      cache: { type: "string", default: join(tmpdir(), "kvjudge-gpu-bundle") },
      debs: { type: "string" },
      "source-only": { type: "boolean", default: false },
      model: { type: "string", multiple: true, default: [] },
    },
  });
  try {
    await bundle({
      out: values.out,
      bytes: partSize(values["part-size"]),
      cache: values.cache,
      debs: values.debs ?? join(values.cache, "debs"),
      sourceOnly: values["source-only"],
      models: values.model,
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(2);
  }
}
