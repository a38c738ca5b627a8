'use strict';
// Rows of a table by a column: a heading becomes a button. Without this script the headings are text.
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    button.addEventListener('click', () => {
      const rising = head.getAttribute('aria-sort') === 'descending';
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
      const rows = [...table.tBodies[0].rows].sort((first, second) => {
        const [a, b] = [key(first), key(second)];
        const order = a - b || a.localeCompare(b, undefined, { numeric: true });
        return rising ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
