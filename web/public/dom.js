/** Small tools to make and renew nodes. Text goes in as text, never as markup. */

/**
 * @param {string} tag
 * @param {Record<string, any>} properties set as properties of the node; `aria-…` and `role` as attributes
 * @param {...(Node | string)} children
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('aria-') || name === 'role') node.setAttribute(name, value)
    else node[name] = value
  }
  node.append(...children)
  return node
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/**
 * Makes the children of `parent` stand for `items`, one each and in order; nodes that are there are kept, with their
 * focus and place.
 */
export function keyed(parent, items, { keyOf, make, update }) {
  const known = new Map(Array.from(parent.children, (node) => [node.dataset.key, node]))
  let place = parent.firstElementChild
  for (const item of items) {
    const key = keyOf(item)
    let node = known.get(key)
    known.delete(key)
    if (node === undefined) {
      node = make(item)
      node.dataset.key = key
    }
    update(node, item)
    if (node === place) place = place.nextElementSibling
    else parent.insertBefore(node, place)
  }
  for (const node of known.values()) node.remove()
}

/** A clone of a template of the page in place of what the page shows, and a way to find parts of it. */
export function show(templateId) {
  const page = document.getElementById('page')
  page.replaceChildren(document.getElementById(templateId).content.cloneNode(true))
  return (id) => document.getElementById(id)
}
