import { codeBlock, el, inline, pretty, prose } from './nodes.js'
import { curlOf, newId, send } from './request.js'
import { fieldList, formOf } from './schema.js'

/**
 * One route: what it takes and answers, and a form to try it.
 * @param {{method: string, path: string, operation: any, signIn: {token(): Promise<string | undefined>, adopt(text: string): void}}} route
 */
export function operationNode({ method, path, operation, signIn }) {
  const verb = method.toUpperCase()
  const needsToken = (operation.security ?? []).length > 0
  const form = tryForm({ verb, path, operation, signIn, needsToken })
  return el(
    'details',
    { id: anchorOf(method, path), className: 'operation' },
    el(
      'summary',
      {},
      el('span', { className: `verb ${method}` }, verb),
      el('code', { className: 'path' }, path),
      el('span', { className: 'says' }, ...inline(operation.summary)),
    ),
    el(
      'div',
      { className: 'inside' },
      ...prose(operation.description ?? ''),
      el('p', { className: 'faint' }, needsToken ? 'Needs an access token.' : 'Needs no token.'),
      form,
      answersNode(operation.responses),
    ),
  )
}

export function anchorOf(method, path) {
  return `${method}${path.replace(/[^a-zA-Z0-9]+/g, '-')}`.replace(/-$/, '')
}

function tryForm({ verb, path, operation, signIn, needsToken }) {
  const parameters = (operation.parameters ?? []).toSorted((a, b) => a.in.localeCompare(b.in))
  const inputs = parameters.map((parameter) => ({ parameter, input: inputOf(parameter) }))
  const media = operation.requestBody?.content['application/json']
  const body = media && bodyArea(media.example)
  const result = el('div', { className: 'result', role: 'status' })
  const form = el(
    'form',
    { 'aria-label': `Try ${verb} ${path}` },
    ...inputs.map(({ parameter, input }) => parameterNode(parameter, input)),
    media && el('h4', {}, 'Body'),
    media && fieldList(media.schema),
    body?.node,
    el('div', { className: 'buttons' }, el('button', {}, 'Send'), body?.renew),
    result,
  )
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    result.replaceChildren('Sending…')
    const token = needsToken ? await signIn.token() : undefined
    const request = { method: verb, path: filledPath(path, inputs), token }
    if (body) request.body = body.area.value
    const answer = await send(request)
    result.replaceChildren(...answerNodes(request, answer))
    if (answer.ok) signIn.adopt(answer.text)
  })
  return form
}

function inputOf({ in: place, schema, required, example }) {
  return el('input', {
    required: required === true,
    placeholder: String(example ?? schema.default ?? ''),
    inputMode: schema.type === 'integer' ? 'numeric' : 'text',
    autocomplete: 'off',
    spellcheck: false,
    className: place,
  })
}

function parameterNode({ name, in: place, required, schema, description }, input) {
  const said = description ?? schema.description ?? ''
  return el(
    'label',
    { className: 'parameter' },
    el('code', {}, name),
    ` in the ${place}${required ? '' : ' (optional)'} `,
    el('span', { className: 'form' }, formOf(schema)),
    ...inline(said),
    input,
  )
}

/** The example as text to change, with a new id where the sender makes one. */
function bodyArea(example) {
  const fresh = () => pretty(withNewId(example))
  const area = el('textarea', {
    value: fresh(),
    rows: fresh().split('\n').length + 1,
    spellcheck: false,
    'aria-label': 'Body of the request, JSON',
  })
  const renew = el('button', { type: 'button' }, hasId(example) ? 'New id' : 'Example again')
  renew.addEventListener('click', () => {
    try {
      area.value = hasId(example) ? pretty(withNewId(JSON.parse(area.value))) : fresh()
    } catch {
      area.value = fresh()
    }
  })
  return { node: area, area, renew }
}

function hasId(example) {
  return typeof example?.id === 'string'
}

function withNewId(body) {
  return hasId(body) ? { ...body, id: newId() } : body
}

function filledPath(path, inputs) {
  const query = new URLSearchParams()
  let filled = path
  for (const { parameter, input } of inputs) {
    const value = input.value.trim()
    if (parameter.in === 'path') {
      filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(value))
    } else if (value !== '') query.set(parameter.name, value)
  }
  return query.size === 0 ? filled : `${filled}?${query}`
}

const shownHeaders = ['content-type', 'retry-after', 'www-authenticate', 'cache-control']

function answerNodes(request, answer) {
  const command = el(
    'details',
    {},
    el('summary', {}, 'As curl'),
    codeBlock(curlOf(request), 'As curl'),
  )
  if (!answer.ok) return [el('p', { className: 'bad' }, answer.reason), command]
  const { status, statusText, headers, text, ms } = answer
  const good = status < 400
  const lines = headers.filter(([name]) => shownHeaders.includes(name))
  return [
    el('p', { className: good ? 'good' : 'bad' }, `${status} ${statusText} in ${ms} ms`),
    codeBlock(
      lines.map(([name, value]) => `${name}: ${value}`).join('\n'),
      'Headers of the answer',
    ),
    text === '' ? el('p', {}, 'No body.') : codeBlock(readable(text), 'Body of the answer'),
    command,
  ]
}

function readable(text) {
  try {
    return pretty(JSON.parse(text))
  } catch {
    return text
  }
}

function answersNode(responses) {
  return el(
    'details',
    { className: 'answers' },
    el('summary', {}, 'Answers'),
    ...Object.entries(responses).flatMap(([status, response]) => [
      el('h4', {}, `${status} ${response.description ?? ''}`),
      ...Object.values(response.content ?? {}).flatMap(mediaNodes),
    ]),
  )
}

function mediaNodes({ schema, example, examples }) {
  const fields = examples === undefined ? fieldList(schema) : undefined
  const nodes = fields === undefined ? [] : [fields]
  if (example !== undefined) nodes.push(codeBlock(pretty(example), 'Example'))
  for (const [code, { summary, value }] of Object.entries(examples ?? {})) {
    nodes.push(
      el(
        'details',
        {},
        el('summary', {}, el('code', {}, code), ` ${summary}`),
        codeBlock(pretty(value), `Example of ${code}`),
      ),
    )
  }
  return nodes
}
