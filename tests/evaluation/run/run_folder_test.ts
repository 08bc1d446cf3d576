import { assertEquals, assertRejects } from "@std/assert";
import { BenchmarkError } from "../../../evaluation/benchmarks/errors.ts";
import type { RunSettings } from "../../../evaluation/run/record.ts";
import { openRunFolder } from "../../../evaluation/run/run_folder.ts";
import { withFolder } from "../../_temp_folder.ts";
import { record, settings } from "../_run_summary.ts";

Deno.test("openRunFolder() names the settings that differ, and how many more", async () => {
  await withFolder(async (folder) => {
    (await openRunFolder(folder, settings()))[Symbol.dispose]();
    (await openRunFolder(folder, settings()))[Symbol.dispose]();
    const refused = async (changes: Partial<RunSettings>) => {
      const opened = openRunFolder(folder, settings(changes));
      return (await assertRejects(() => opened, BenchmarkError)).message;
    };
    const one = await refused({ budgets: ["64", "32"] });
    assertEquals(
      one.replace(folder, "RUN"),
      'Cannot go on with the run in RUN: it was begun with budgets[1] nothing, this is "32"; give ' +
        "the same settings, or another folder (the files of a run have format 1)",
    );
    const many = await refused({ seed: 1, benchmark: "ruler", tasks: [], budgets: [] });
    assertEquals(many.match(/, this is /g)?.length, 3, many);
    assertEquals(many.includes("; 1 more differ; give the same settings"), true, many);
  });
});

Deno.test("openRunFolder() says what is damaged, and goes on after a torn line", async () => {
  await withFolder(async (folder) => {
    const sample = record("a", { full: 1 });
    {
      using run = await openRunFolder(folder, settings());
      await run.append(sample);
    }
    Deno.writeTextFileSync(`${folder}/samples.jsonl`, '{"id": "torn', { append: true });
    {
      using run = await openRunFolder(folder, settings());
      assertEquals([...run.records.values()], [sample]);
    }
    Deno.writeTextFileSync(`${folder}/samples.jsonl`, '{"id": 3}\n', { append: true });
    const open = () => openRunFolder(folder, settings());
    await assertRejects(
      open,
      BenchmarkError,
      'line 2, as a record of a sample: "id" must be a text, got 3; give another folder, or mend',
    );
    Deno.writeTextFileSync(`${folder}/settings.json`, '{"format": 2}');
    await assertRejects(open, BenchmarkError, 'settings.json: "format" must be 1, got 2;');
  });
});
