import { el, inline, prose } from './nodes.js'
import { anchorOf, operationNode } from './operation.js'
import { hrefOf } from './request.js'
import { createSignIn } from './sign-in.js'

/** The page, made of the specification beside it. */

const find = (id) => document.getElementById(id)

async function show() {
  const response = await fetch(hrefOf('/openapi.json'), { credentials: 'omit' })
  if (!response.ok) throw new Error(`it is answered with ${response.status}`)
  const { info, tags, paths } = await response.json()
  document.title = `${info.title}: the HTTP API`
  find('title').textContent = `${info.title}: the HTTP API`
  find('about').append(...prose(info.description))
  const signIn = createSignIn()
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method, path, operation, signIn })),
  )
  for (const { name, description } of tags) {
    const own = routes.filter(({ operation }) => operation.tags?.includes(name))
    find('contents').append(contentsNode(name, own))
    find('main').append(
      el('section', {}, el('h2', {}, name), ...prose(description), ...own.map(operationNode)),
    )
  }
  find('loading').hidden = true
  openNamed()
  addEventListener('hashchange', openNamed)
}

function contentsNode(name, routes) {
  const links = routes.map(({ method, path, operation }) =>
    el(
      'li',
      {},
      el(
        'a',
        { href: `#${anchorOf(method, path)}`, title: `${method.toUpperCase()} ${path}` },
        ...inline(operation.summary),
      ),
    ),
  )
  return el('div', {}, el('h2', {}, name), el('ul', {}, ...links))
}

/** The route that the address names is opened, and its summary gets the focus. */
function openNamed() {
  const named = location.hash.length > 1 ? find(location.hash.slice(1)) : null
  if (named?.tagName !== 'DETAILS') return
  named.open = true
  named.querySelector('summary').focus()
  named.scrollIntoView()
}

show().catch((error) => {
  find('loading').textContent = `The specification can’t be read: ${error.message}`
})
