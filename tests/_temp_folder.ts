/** Runs `use` with an empty folder that is gone afterwards. */
export async function withFolder(use: (folder: string) => unknown): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
