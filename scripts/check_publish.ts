/**
 * Rehearses publishing: `deno task check-publish`. It runs `deno publish --dry-run` in a copy of the
 * repository in which the stand-ins count as part of the package, because they take the place of JSR
 * packages here. Nothing is sent, and no registry is asked.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Files that git knows, and new ones that it does not ignore. */
async function ownFiles(): Promise<readonly string[]> {
  const { stdout, success } = await new Deno.Command("git", {
    args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error("Cannot list the files: publishing is rehearsed in a git checkout");
  return new TextDecoder().decode(stdout).split("\0").filter((name) => name !== "");
}

async function copyTo(folder: string): Promise<void> {
  for (const file of await ownFiles()) {
    const target = join(folder, file);
    await Deno.mkdir(dirname(target), { recursive: true });
    // A file that was just deleted is still listed.
    await Deno.copyFile(join(ROOT, file), target).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
  const path = join(folder, "deno.json");
  const config = JSON.parse(await Deno.readTextFile(path));
  const exclude = config.publish.exclude.filter((name: string) => name !== "stand_ins/");
  await Deno.writeTextFile(path, JSON.stringify({ ...config, publish: { exclude } }));
}

/** What publishing would say. */
export interface Rehearsal {
  readonly success: boolean;
  /** Its output, without colours. */
  readonly output: string;
}

/** Runs the rehearsal. Types are left to `deno check`. */
export async function rehearse(): Promise<Rehearsal> {
  const folder = await Deno.makeTempDir();
  try {
    await copyTo(folder);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
      cwd: folder,
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const { success, output } = await rehearse();
  console.log(output);
  Deno.exit(success ? 0 : 1);
}
