export class LobeChat {}
