import { assert, assertEquals, assertMatch } from "@std/assert";
import type { SampleRecord } from "../../evaluation/run/record.ts";
import { callCli } from "../commands/_call_cli.ts";
import { testFolder, textModel } from "../commands/_run_cli.ts";
import { lasting, recordsOf, running } from "./_fleet.ts";
import { leftBehind, startQueueServer, withoutServer } from "./_queue_server.ts";

const NIAH = ["eval", "niah", "--precision", "fp32", "--lengths", "500", "--seed", "5"];
const POLICIES = ["-p", "random,snapkv(window=8),oracle", "-b", "16,64", "--depths", "0,50,100"];

Deno.test({
  name: "eval through a queue gives the summary of one machine, bit for bit",
  ...withoutServer,
  async fn() {
    using home = testFolder();
    await using server = await startQueueServer();
    const model = await textModel(home.path, 1024);
    const env = { KVJUDGE_HOME: home.path };
    const args = [...NIAH, ...POLICIES, "-m", model, "--out"];
    const [here, far] = [`${home.path}/here`, `${home.path}/far`];
    await using worker = running(
      ["worker", "--queue", server.url, "-m", model, "--name", "ada", "--threads", "1"],
      env,
    );
    assertEquals((await callCli([...args, here, "--threads", "1"], { env })).code, 0);
    const { code, out, err } = await callCli([...args, far, "--queue", server.url], { env });
    assertEquals(code, 0, err);
    assertMatch(out, /snapkv\(window=8\) +64 /);
    assertEquals(lasting(far), lasting(here));
    const records: SampleRecord[] = recordsOf(far).map((line) => JSON.parse(line));
    assertEquals(records.length, 3);
    for (const { machine } of records) {
      assertEquals(machine?.precision, "fp32");
      assert(machine && machine.processor !== "" && machine.versions.deno === Deno.version.deno);
    }
    // Nothing stays behind, and the worker is ready for the next run.
    assertEquals(await leftBehind(server), []);
    const told = /^no runs\nworker +processor +run +under way +done +failed\nada .* 3 +0\n$/;
    // A worker tells what it has done from time to time.
    let status = "";
    for (let tries = 0; tries < 100 && !told.test(status); tries++) {
      status = (await callCli(["queue", "status", "--queue", server.url], { env })).out;
    }
    assertMatch(status, told);
    assertMatch(await worker.stop(), /ended: 3 jobs done, 0 tries failed/);
  },
});
