// Instance
