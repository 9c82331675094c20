# sh submit.sh GPUS CORES MEGABYTES SCRIPT: a Job that runs a script of Snakemake's; prints its name.
set -eu
kubectl create --filename - --output 'jsonpath={.metadata.name}' << END
apiVersion: batch/v1
kind: Job
metadata:
  generateName: memlib-
  labels: {app: memlib}
spec:
  backoffLimit: 0  # Snakemake tries again
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: notebook
          image: "${MEMLIB_IMAGE:-memlib}"
          command: [sh, "$4"]
          workingDir: "$PWD"
          resources:
            limits: {nvidia.com/gpu: $1, cpu: $2, memory: $3M}
          volumeMounts:
            - {name: clone, mountPath: "$PWD"}
      volumes:
        - name: clone
          persistentVolumeClaim: {claimName: "${MEMLIB_CLAIM:-memlib}"}
END
