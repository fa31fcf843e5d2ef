'use strict';

// Everything is put into the page as text, never as markup.
const element = (name, text, ...children) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
};

const typeOf = (schema) => {
    if (!schema) return '';
    if (schema.$ref) return schema.$ref.split('/').pop();
    if (schema.type === 'array') return `${typeOf(schema.items)}[]`;
    if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
    if (schema.properties && schema.properties.result) return `stream of ${typeOf(schema.properties.result)}`;
    return schema.format || schema.type || 'any';
};

const row = (...cells) => element('tr', '', ...cells.map((cell) => element('td', cell)));

const operation = (path, method, details) => {
    const parameters = (details.parameters || []).map((parameter) =>
        row(parameter.name, parameter.in, typeOf(parameter.schema || parameter), parameter.required ? 'required' : ''));
    const reply = element('p', `replies ${typeOf(details.responses['200'].schema)}`);
    reply.className = 'reply';
    const summary = element('summary', '', element('b', method.toUpperCase()), ` ${path}`);
    return element('details', '', summary, element('table', '', ...parameters), reply);
};

const show = (description) => {
    const services = new Map();
    for (const [path, methods] of Object.entries(description.paths)) {
        for (const [method, details] of Object.entries(methods)) {
            const service = details.tags[0];
            if (!services.has(service)) services.set(service, []);
            services.get(service).push(operation(path, method, details));
        }
    }
    const main = document.getElementById('services');
    main.textContent = '';
    for (const [service, operations] of [...services].sort(([a], [b]) => a.localeCompare(b))) {
        main.append(element('h2', service), ...operations);
    }
};

fetch('swagger.json')
    .then((answer) => answer.json())
    .then(show)
    .catch((error) => { document.getElementById('services').textContent = `The description cannot be read: ${error}`; });
