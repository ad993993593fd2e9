/** Makes nodes. Text goes in as text, never as markup. */

/**
 * @param {string} tag
 * @param {Record<string, any>} properties of the node; `aria-…` and `role` are set as attributes
 * @param {...(Node | string | undefined)} children
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue
    if (name.startsWith('aria-') || name === 'role') node.setAttribute(name, value)
    else node[name] = value
  }
  node.append(...children.filter((child) => child !== undefined))
  return node
}

/** Text whose `words` between backticks are code; blank lines part paragraphs. */
export function prose(text) {
  return text.split(/\n\s*\n/).map((paragraph) => el('p', {}, ...inline(paragraph)))
}

export function inline(text) {
  return text
    .split(/`([^`]+)`/)
    .map((part, i) => (i % 2 === 1 ? el('code', {}, part) : part.replace(/\s+/g, ' ')))
}

export function pretty(value) {
  return JSON.stringify(value, null, 2)
}

/** A block of code that the keyboard can scroll. */
export function codeBlock(text, label) {
  return el('pre', { tabIndex: 0, role: 'group', 'aria-label': label }, el('code', {}, text))
}
