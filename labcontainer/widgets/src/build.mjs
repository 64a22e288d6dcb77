// Bundles each widget's script and style into ../static, and notes their digests in ../static/bundles.json.
//
//     npm ci && npm run build     after a change in this folder
//     npm run check               fails where the committed bundles are not what the sources give
//
// The digests of the sources are noted, too, so that a test without node can tell when somebody forgot to build.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "static");
const widgets = ["dashboard", "doctor", "isolation", "lifecycle", "overlay", "terminal", "trace"];

const digest = (bytes) => "sha256:" + createHash("sha256").update(bytes).digest("hex");

const result = await build({
  absWorkingDir: here,
  entryPoints: widgets.flatMap((name) => [`${name}.js`, `${name}.css`]),
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: true,
  legalComments: "none",
  write: false,
});

const sources = readdirSync(here).filter((name) => /\.(js|css|mjs|json)$/.test(name)).sort();
const bundles = {
  sources: Object.fromEntries(sources.map((name) => [name, digest(readFileSync(join(here, name)))])),
  bundles: Object.fromEntries(result.outputFiles.map((file) => [file.path.slice(out.length + 1), digest(file.contents)])),
};
const note = JSON.stringify(bundles, null, 2) + "\n";

if (process.argv.includes("--check")) {
  if (readFileSync(join(out, "bundles.json"), "utf8") !== note) {
    console.error("the bundles in static/ are not what the sources give: npm ci && npm run build");
    process.exit(1);
  }
} else {
  for (const file of result.outputFiles) writeFileSync(file.path, file.contents);
  writeFileSync(join(out, "bundles.json"), note);
}
