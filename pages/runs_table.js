// Sort by a heading, filter by words and comparisons.
const body = document.querySelector("tbody");
const rows = [...body.rows];
const values = new Map(rows.map((row) => [row, JSON.parse(row.dataset.values)]));
const filter = document.getElementById("filter");

for (const button of document.querySelectorAll("[data-column]")) {
  button.addEventListener("click", () => sortBy(button));
}

function sortBy(button) {
  const heading = button.closest("th");
  const sign = heading.ariaSort === "ascending" ? -1 : 1;
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.ariaSort = sign === 1 ? "ascending" : "descending";
  const key = (row) => row.cells[Number(button.dataset.column)].dataset.key;
  const order = (a, b) => {
    const [first, second] = [key(a), key(b)];
    if (first === "" || second === "") return (first === "") - (second === "");  // what is missing comes last
    const numbers = first - second;
    return sign * (Number.isNaN(numbers) ? first.localeCompare(second, undefined, { numeric: true }) : numbers);
  };
  body.append(...[...rows].sort(order));
}

function matches(row, word) {
  const [, name, sign, wanted] = word.match(/^([^=<>!]+)(<=|>=|!=|=|<|>)(.*)$/) ?? [];
  if (name === undefined) return row.textContent.toLowerCase().includes(word.toLowerCase());
  const found = values.get(row)[name];
  if (sign === "=" || sign === "!=") return isEqual(found, wanted) === (sign === "=");
  if (typeof found !== "number" || wanted === "") return false;
  const difference = found - Number(wanted);
  return { "<": difference < 0, ">": difference > 0, "<=": difference <= 0, ">=": difference >= 0 }[sign];
}

function isEqual(found, wanted) {
  if (Array.isArray(found) && found.includes(wanted)) return true;
  if (typeof found === "number") return wanted !== "" && found === Number(wanted);
  return String(typeof found === "object" ? JSON.stringify(found) : found).replaceAll(" ", "") === wanted;
}

function show() {
  const words = filter.value.split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !words.every((word) => matches(row, word));
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("count").textContent = shown === rows.length ? `${shown} runs` : `${shown} of ${rows.length} runs`;
}

filter.addEventListener("input", show);
show();
